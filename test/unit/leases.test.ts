// Leases: rights, refusals, waits, bounds, idempotency, and the fences of writes. What random sequences do is in
// lease-model.test.ts, whole nodes in test/system/leases.test.ts.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Caller } from "../../src/access/caller.ts";
import { FEATURES } from "../../src/features/index.ts";
import { grant, joinLine } from "../../src/features/lease/claims.ts";
import { leaseFeature } from "../../src/features/lease/index.ts";
import type { Claim } from "../../src/features/lease/rows.ts";
import { Fault } from "../../src/lib/fault.ts";
import type { Log } from "../../src/log/log.ts";
import { FENCE_LEVEL } from "../../src/operation/fence.ts";
import { callerWith } from "../kit/core.ts";
import { LESSEES, type Leases, startLeases } from "../kit/leases.ts";
import { makeStoreAt } from "../kit/level.ts";
import { logWith } from "../kit/log-with.ts";
import { refusal } from "../kit/refusal.ts";
import { temporaryFolder } from "../kit/temporary.ts";
import { webOver } from "../kit/web.ts";

let leases: Leases;
beforeEach(() => {
  leases = startLeases();
});
afterEach(() => leases[Symbol.asyncDispose]());

const ANN: Omit<Claim, "name" | "seq"> = { n: 1, caller: "user:ann@x", agent: "", purpose: "", ttl_ms: 60_000 };

const acquire = (who: string, name: string, more: object = {}) =>
  leases.call(who, "lease_acquire", { name, ...more }) as Promise<Record<string, unknown> & { fence: string }>;

describe("a lease that is held", () => {
  test("is refused with the holder, what for, and the time that is left", async () => {
    await acquire("ann", "team/a", { ttl_seconds: 60, for: "rename the parser" });
    await leases.pass(20_000);
    const refused = await refusal(acquire("bob", "team/a"));
    expect(refused.code).toBe("lease_held");
    expect(refused.message).toContain('user:ann@x holds "team/a" for "rename the parser" since');
    expect(refused.message).toContain("ends in about 40 s");
    expect(refused.details).toMatchObject({ held_by: "user:ann@x", expires_in_seconds: 40, waiting: 0 });
    // The fence is no secret, and it helps only its holder, which may have lost it.
    expect(refused.details).not.toHaveProperty("fence");
    expect(refused.details).not.toHaveProperty("held_by_agent");
    const { handle } = (await leases.call("ann", "agent_register", { name: "builder" })) as { handle: string };
    await acquire("ann", "team/b", { as: handle });
    expect((await refusal(acquire("bob", "team/b"))).details).toMatchObject({ held_by_agent: "builder" });
    expect(refused).toMatchObject({ hint: expect.not.stringContaining("team/a@") });
  });

  test("is refused to its own holder too, with the fence: two processes of one caller are two", async () => {
    const { fence } = await acquire("ann", "team/a");
    const refused = await refusal(acquire("ann", "team/a"));
    expect([refused.code, refused.details["fence"]]).toEqual(["lease_held", fence]);
    expect(refused).toMatchObject({ hint: expect.stringContaining(fence) });
  });

  test("goes to the next in line in the command that ends it, and the audit has both changes", async () => {
    const { fence } = await acquire("ann", "team/a");
    const queued = await acquire("bob", "team/a", { wait_seconds: 60 });
    expect(queued).toMatchObject({ granted: false, place: 1, safe_seconds: 0 });
    const before = leases.core.log.position().seq;
    const released = await leases.call("ann", "lease_release", { name: "team/a", fence });
    expect(released).toEqual({ released: true, granted_to: { caller: "user:bob@x" } });
    const rows = leases.core.store.reader.all("SELECT operation, target, outcome FROM changes WHERE seq > ?", before);
    expect(rows).toEqual([
      { operation: "lease_release", target: "team/a", outcome: "released" },
      { operation: "lease_release", target: "team/a", outcome: "granted" },
    ]);
    expect(await leases.call("bob", "lease_renew", { name: "team/a", fence: queued.fence })).toMatchObject({
      safe_seconds: 293,
    });
  });

  test("can be taken away by an operator, and by no role below", async () => {
    await acquire("ann", "team/a");
    expect((await refusal(leases.call("bob", "lease_force", { name: "team/a" }))).code).toBe("forbidden");
    const operator = callerWith({ id: "nOP", login: "op@x", grants: [{ role: "operator", spaces: ["team"] }] });
    expect(await leases.core.call("lease_force", { name: "team/a" }, operator)).toEqual({
      forced: true,
      held_by: { caller: "user:ann@x" },
    });
    expect(await leases.core.call("lease_force", { name: "team/a" }, operator)).toEqual({ forced: false });
  });

  test("expires only if it is as the leader knew it: a holder that went on keeps it", async () => {
    const { fence } = await acquire("ann", "team/a", { ttl_seconds: 10 });
    const row = () => leases.core.store.reader.get<{ revision: number }>("SELECT revision FROM leases");
    const { revision = 0 } = row() ?? {};
    await acquire("ann", "team/a", { fence });
    const [n, seq] = (fence.split("@")[1] ?? "").split("-").map(Number);
    const expire = { name: "lease_expire", v: 1, input: { name: "team/a", n, seq, revision } };
    const { output } = await leases.core.log.propose({ ...expire, caller: "node", via: "", key: "" });
    expect(output).toEqual({ expired: false });
    expect(row()?.revision).toBeGreaterThan(revision);
  });
});

test("an agent holds its lease itself: neither its caller nor another agent of it can use the claim", async () => {
  const handleOf = async (name: string) => String((await leases.call("ann", "agent_register", { name }))["handle"]);
  const [one, other] = [await handleOf("Builder"), await handleOf("Tester")];
  const { fence } = await acquire("ann", "team/a", { as: one, for: "build" });
  expect(await leases.call("bob", "lease_list", {})).toMatchObject({
    leases: [{ name: "team/a", held_by: { caller: "user:ann@x", agent: "Builder" } }],
  });
  const refused = await refusal(acquire("bob", "team/a"));
  expect(refused.message).toContain("Builder (user:ann@x) holds");
  const input = { name: "team/a", fence };
  for (const as of [{}, { as: other }])
    for (const operation of ["lease_renew", "lease_acquire", "lease_release"])
      expect((await refusal(leases.call("ann", operation, { ...input, ...as }))).code).toBe("lease_lost");
  expect(await leases.call("ann", "lease_list", { own: true })).toEqual({ leases: [] });
  expect(await leases.call("ann", "lease_list", { own: true, as: one })).toMatchObject({ leases: [{ fence }] });
  expect(await leases.call("ann", "lease_renew", { ...input, as: one })).toMatchObject({ fence });
  expect(await leases.call("ann", "lease_release", { ...input, as: one })).toEqual({ released: true });
});

describe("rights", () => {
  const reader = callerWith({ id: "nR", login: "r@x", grants: [{ role: "reader", spaces: ["team"] }] });
  const stranger = callerWith({ id: "nS", login: "s@x", grants: [{ role: "member", spaces: ["other"] }] });

  test("a reader sees leases and waits, and holds none", async () => {
    await acquire("ann", "team/a");
    expect(await leases.core.call("lease_list", {}, reader)).toMatchObject({ leases: [{ name: "team/a" }] });
    expect(await leases.core.call("lease_wait", { name: "team/a", timeout_seconds: 0 }, reader)).toMatchObject({
      state: "held",
      timed_out: true,
    });
    for (const operation of ["lease_acquire", "lease_renew", "lease_release"])
      expect((await refusal(leases.core.call(operation, { name: "team/b", fence: "team/b@1-1" }, reader))).code).toBe(
        "forbidden",
      );
  });

  test("of a space that one may not read, nothing is seen: no list, no state, no fence by a write", async () => {
    const { fence } = await acquire("ann", "team/secret", { for: "a secret" });
    expect(await leases.core.call("lease_list", {}, stranger)).toEqual({ leases: [] });
    expect(await leases.core.call("lease_list", { prefix: "team/" }, stranger)).toEqual({ leases: [] });
    for (const name of ["team/secret", "team/none"])
      expect((await refusal(leases.core.call("lease_wait", { name, timeout_seconds: 0 }, stranger))).code).toBe(
        "forbidden",
      );
    for (const each of [fence, "team/none@1-1"]) {
      const put = leases.core.call("context_put", { id: "other/x", content: "x", fence: each }, stranger);
      expect((await refusal(put)).code).toBe("forbidden");
      const many = { writes: [{ operation: "context_put", id: "other/x", content: "x", fence: each }] };
      expect((await refusal(leases.core.call("context_many", many, stranger))).code).toBe("forbidden");
    }
  });

  test("another caller can neither renew, go on with, nor release a claim", async () => {
    const { fence } = await acquire("ann", "team/a");
    const input = { name: "team/a", fence };
    for (const operation of ["lease_renew", "lease_acquire", "lease_release"])
      expect((await refusal(leases.call("bob", operation, input))).code).toBe("lease_lost");
    expect(await leases.call("ann", "lease_renew", input)).toMatchObject({ fence });
  });
});

describe("the fence of a write", () => {
  test("lets it through while it is the newest grant, and no longer", async () => {
    const first = await acquire("ann", "team/a");
    const write = (fence: string, id = "team/doc") => leases.call("ann", "context_put", { id, content: "x", fence });
    await write(first.fence);
    await leases.call("ann", "lease_release", { name: "team/a", fence: first.fence });
    // Free, but not granted to another one since.
    await write(first.fence);
    const second = await acquire("bob", "team/a");
    const refused = await refusal(write(first.fence));
    expect([refused.code, refused.details["fence"]]).toEqual(["fence_stale", second.fence]);
    await write(second.fence);
    // A fence in line is no grant, nor is one that was made up.
    const queued = await acquire("ann", "team/a", { wait_seconds: 60 });
    for (const fence of [queued.fence, "team/a@1-9999", "team/never@1-1"])
      expect((await refusal(write(fence))).code).toBe("fence_stale");
  });

  test("is taken by each write of a context, and within several", async () => {
    const { fence } = await acquire("ann", "team/a");
    await leases.call("ann", "context_put", { id: "team/doc", content: "a", fence });
    await leases.call("ann", "context_put", { id: "team/doc", content: "b", fence });
    await leases.call("", "lease_force", { name: "team/a" });
    await acquire("bob", "team/a");
    const edit = { id: "team/doc", format: "edit", patch: [{ op: "append", text: "c" }], fence };
    const put = { id: "team/doc", content: "c", fence };
    for (const [operation, input] of [
      ["context_put", put],
      ["context_patch", edit],
      ["context_restore", { id: "team/doc", version: 1, fence }],
      ["context_delete", { id: "team/doc", fence }],
      ["context_many", { writes: [{ operation: "context_put", ...put }] }],
    ] as const)
      expect([operation, (await refusal(leases.call("ann", operation, input))).code]).toEqual([
        operation,
        "fence_stale",
      ]);
    expect(await leases.call("ann", "context_get", { id: "team/doc" })).toMatchObject({ version: 2, content: "b" });
  });

  test.each(["", "team/a", "team/a@1", "team/a@0-1", "@1-1", "team//a@1-1", `team/a@1-${"9".repeat(16)}`, "a@1-1\n"])(
    "that is none (%p) is refused before the log",
    async (fence) => {
      const put = leases.core.http(`/contexts/team/doc?${new URLSearchParams({ fence })}`, {
        method: "PUT",
        body: "x",
        headers: { "content-type": "text/plain" },
      });
      expect((await put).status).toBe(400);
    },
  );

  test("of leases that ended are kept up to a number, the newest ones", async () => {
    const { reader } = leases.core.store;
    leases.core.store.transaction((tx) => {
      for (let seq = 1; seq <= 10_000; seq += 1)
        tx.run("INSERT INTO fences (name, n, seq, held) VALUES (?, 1, ?, 0)", `team/old-${seq}`, -seq);
    });
    const { fence } = await acquire("ann", "team/a");
    await leases.call("ann", "lease_release", { name: "team/a", fence });
    expect(reader.get("SELECT COUNT(*) AS count FROM fences")).toEqual({ count: 10_000 });
    expect(reader.get("SELECT name FROM fences WHERE name = 'team/old-10000'")).toBeUndefined();
    await leases.call("ann", "context_put", { id: "team/doc", content: "x", fence });
  });
});

describe("lease_wait", () => {
  test("returns when the claim is granted, for its holder and without polling", async () => {
    const { fence } = await acquire("ann", "team/a");
    const mine = await acquire("bob", "team/a", { wait_seconds: 60 });
    const waited = leases.call("bob", "lease_wait", { name: "team/a", fence: mine.fence, timeout_seconds: 30 });
    await acquire("ann", "team/b");
    await leases.call("ann", "lease_release", { name: "team/a", fence });
    expect(await waited).toMatchObject({ state: "granted", timed_out: false, held_by: { caller: "user:bob@x" } });
  });

  test("without a fence returns when the lease is free, also by expiry", async () => {
    await acquire("ann", "team/a", { ttl_seconds: 5 });
    const waited = leases.call("bob", "lease_wait", { name: "team/a", timeout_seconds: 30 });
    await leases.pass(5_000);
    expect(await waited).toMatchObject({ state: "free", timed_out: false });
  });

  test("ends with its caller, and counts as one of its waits", async () => {
    await acquire("ann", "team/a");
    const leaving = new AbortController();
    const input = { name: "team/a", timeout_seconds: 300 };
    const call = { operation: "lease_wait", input, caller: LESSEES["bob"] ?? callerWith() };
    const waited = refusal(leases.core.invoker.invoke({ ...call, signal: leaving.signal }));
    await new Promise((resolve) => setImmediate(resolve));
    expect(leases.core.invoker.openStreams).toBe(1);
    leaving.abort();
    expect((await waited).code).toBe("cancelled");
    expect(leases.core.invoker.openStreams).toBe(0);
  });
});

describe("a term", () => {
  test("is full again under a new leader, which knows no renewals", async () => {
    const { fence } = await acquire("ann", "team/a", { ttl_seconds: 10 });
    await leases.pass(9_000);
    leases.lead();
    await leases.pass(9_000);
    expect(await leases.call("ann", "lease_renew", { name: "team/a", fence })).toMatchObject({ fence });
    await leases.pass(9_000);
    await leases.pass(1_000);
    expect((await refusal(leases.call("ann", "lease_renew", { name: "team/a", fence }))).code).toBe("lease_lost");
  });

  test("is as long as it is, whatever becomes of the wall clock", async () => {
    await leases[Symbol.asyncDispose]();
    let wallMs = 1_700_000_000_000;
    leases = startLeases({ nowMs: () => wallMs });
    const { fence } = await acquire("ann", "team/a", { ttl_seconds: 10 });
    for (const jumpMs of [86_400_000, -10 * 86_400_000]) {
      wallMs += jumpMs;
      await leases.pass(4_000);
      expect(await leases.call("bob", "lease_list", {})).toMatchObject({ leases: [{ fence }] });
    }
    await leases.pass(2_000);
    expect(await leases.call("bob", "lease_list", {})).toEqual({ leases: [] });
  });

  test("cannot be renewed at a node that does not lead", async () => {
    const { fence } = await acquire("ann", "team/a");
    leases.depose();
    expect((await refusal(leases.call("ann", "lease_renew", { name: "team/a", fence }))).code).toBe("unavailable");
  });

  test("is not renewed while its expiry is undecided, whatever becomes of it", async () => {
    await leases[Symbol.asyncDispose]();
    const held = Promise.withResolvers<void>();
    let applied: Promise<unknown> = Promise.resolve();
    leases = startLeases({
      wrapLog: (log: Log) =>
        logWith(log, {
          propose: async (command) => {
            if (command.name !== "lease_expire") return log.propose(command);
            await held.promise;
            applied = log.propose(command);
            // What a proposer learns of an entry that is applied later.
            throw new Fault("unavailable", "unknown", { facts: { outcome: "unknown" } });
          },
          barrier: async () => {
            await applied;
          },
        }),
    });
    const { fence } = await acquire("ann", "team/a", { ttl_seconds: 5 });
    await leases.pass(5_000);
    const renewed = refusal(leases.call("ann", "lease_renew", { name: "team/a", fence }));
    held.resolve();
    expect((await renewed).code).toBe("lease_lost");
  });
});

describe("bounds", () => {
  test("of claims of a caller", async () => {
    leases.core.store.transaction((tx) => {
      for (let seq = 1; seq < 512; seq += 1) grant(tx, { ...ANN, name: `team/${seq}`, seq }, seq, 0);
    });
    await acquire("ann", "team/last");
    const refused = await refusal(acquire("ann", "team/more"));
    expect([refused.code, refused.details["limit"]]).toEqual(["quota_exceeded", 512]);
    await acquire("bob", "team/more");
  });

  test("of the line for one lease: places that are over make room", async () => {
    await acquire("ann", "team/a", { ttl_seconds: 3600 });
    await acquire("bob", "team/a", { wait_seconds: 10 });
    leases.core.store.transaction((tx) => {
      for (let seq = 101; seq <= 163; seq += 1) joinLine(tx, { ...ANN, name: "team/a", seq }, leases.wallMs() + 10_000);
    });
    expect((await refusal(acquire("cyd", "team/a", { wait_seconds: 10 }))).code).toBe("quota_exceeded");
    await leases.pass(10_000);
    expect(await acquire("cyd", "team/a", { wait_seconds: 10 })).toMatchObject({ place: 1 });
  });

  test.each([
    { ttl_seconds: 4 },
    { ttl_seconds: 86_401 },
    { ttl_seconds: 1e300 },
    { wait_seconds: -1 },
    { for: "x".repeat(201) },
    { for: "a\u0000b" },
    { for: "\ud800" },
    { name: "../x" },
    { name: "a/\u202ex" },
    { name: "x".repeat(257) },
    { fence: "team/b@1-1" },
  ])("of arguments: %p", async (input) => {
    expect((await refusal(acquire("ann", "team/a", input))).code).toBe("invalid_input");
  });

  test("names are those of files: also those that no context may have", async () => {
    for (const name of ["team/src/metadata", "team/versions/3", "team/What now? (draft #2).md", "vault/日本語 ノート"])
      expect(await acquire("ann", name)).toMatchObject({ granted: true });
    const page = (await leases.call("bob", "lease_list", { limit: 3 })) as { leases: unknown[]; cursor: string };
    expect(page.leases).toHaveLength(3);
    expect(await leases.call("bob", "lease_list", { cursor: page.cursor })).toMatchObject({
      leases: [{ name: "vault/日本語 ノート" }],
    });
    expect(await leases.call("bob", "lease_list", { own: true })).toEqual({ leases: [] });
  });
});

test("an acquire that is repeated under its key is done once, and says the same", async () => {
  const input = { name: "team/a", idempotency_key: "k" };
  const first = await leases.call("ann", "lease_acquire", input);
  expect(await leases.call("ann", "lease_acquire", input)).toEqual(first);
});

test("the routes are the operations: acquire, state, renew, list, release", async () => {
  const http = (path: string, init: RequestInit = {}) => leases.core.http(path, init, LESSEES["ann"]);
  const json = { method: "PUT", body: '{"ttl_seconds": 60}', headers: { "content-type": "application/json" } };
  const { fence } = (await (await http("/leases/team/src/a b.ts", json)).json()) as { fence: string };
  const query = `?${new URLSearchParams({ fence })}`;
  expect(fence).toStartWith("team/src/a b.ts@1-");
  expect((await http("/leases/team/src/a%20b.ts", json)).status).toBe(409);
  expect(await (await http(`/leases/team/src/a b.ts${query}&timeout=0`)).json()).toMatchObject({ state: "granted" });
  expect((await http(`/leases/team/src/a b.ts${query}`, { method: "POST" })).status).toBe(200);
  expect(await (await http("/leases?prefix=team/")).json()).toMatchObject({ leases: [{ fence }] });
  expect(await (await http(`/leases/team/src/a b.ts${query}`, { method: "DELETE" })).json()).toEqual({
    released: true,
  });
});

test("the feature has no write whose changes the leader would not see", () => {
  const writes = leaseFeature.operations?.({ find: () => undefined } as never) ?? [];
  expect(writes.filter(({ kind }) => kind === "write").map(({ name }) => name)).toEqual([
    "lease_acquire",
    "lease_release",
    "lease_force",
    "lease_expire",
  ]);
});

test("the overview shows leases to callers that may see them, and what others wrote as text", async () => {
  const unexpected: unknown[] = [];
  const onUnexpected = (error: unknown) => `w${unexpected.push(error)}`;
  const web = webOver(leases.core, { features: FEATURES, nowMs: leases.wallMs, onUnexpected });
  const page = async (caller: Caller) => (await web.fetch(new Request("http://cairn/"), caller, "http"))?.text() ?? "";
  const ann = LESSEES["ann"] ?? callerWith();
  expect(await page(ann)).toContain("No lease that you may see is held.");
  await acquire("ann", "team/<b>", { for: "<script>alert(1)</script>\u202e" });
  await acquire("bob", "team/<b>", { wait_seconds: 60 });
  const shown = await page(ann);
  expect(shown).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
  expect(shown).not.toContain("<script>alert");
  expect(shown).not.toContain("\u202e");
  expect(shown).toContain("ann@x");
  const stranger = callerWith({ id: "nS", login: "s@x", grants: [{ role: "member", spaces: ["other"] }] });
  expect(await page(stranger)).not.toContain("alert(1)");
  expect(unexpected).toEqual([]);
});

test("below its fleet level every call is refused in words, and a write with a fence too", async () => {
  const folder = temporaryFolder();
  makeStoreAt(join(folder, "store"), FENCE_LEVEL - 1);
  await using low = startLeases({ folder });
  const input = { name: "team/a", fence: "team/a@1-1" };
  for (const [operation, given] of [
    ["lease_acquire", { name: "team/a" }],
    ["lease_renew", input],
    ["lease_release", input],
    ["lease_force", { name: "team/a" }],
    ["lease_wait", { name: "team/a", timeout_seconds: 0 }],
    ["lease_list", {}],
    ["context_put", { id: "team/x", content: "x", fence: "team/a@1-1" }],
    ["context_delete", { id: "team/x", fence: "team/a@1-1" }],
  ] as const) {
    const refused = await refusal(low.call("", operation, given));
    expect([operation, refused.code, refused.message]).toEqual([
      operation,
      "unavailable",
      expect.stringContaining("needs fleet level 3; the fleet has 2"),
    ]);
  }
  await low.call("", "context_put", { id: "team/x", content: "x" });
  await low.pass(1_000);
  expect(await low.call("", "audit_verify", {})).toMatchObject({ ok: true });
  expect([low.core.fatal, low.core.unexpected]).toEqual([[], []]);
});
