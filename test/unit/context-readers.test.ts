// Who may read a context: how it is decided and changed, what a write and a succession show of it, what history limits
// and the end of its time leave of it, over an edge, and below the fleet level. All roads: context-visibility.test.ts.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextsExpiring } from "../../src/features/context/expire.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { ExpireDuty } from "../../src/operation/expire-duty.ts";
import type { Core } from "../kit/core.ts";
import { startEdgePair } from "../kit/edge.ts";
import { makeStoreAt } from "../kit/level.ts";
import { Someone, startSessions, user } from "../kit/sessions.ts";
import { temporaryFolder } from "../kit/temporary.ts";
import { checkUsage } from "../kit/usage.ts";
import { webOver } from "../kit/web.ts";

const ann = user("ann");
const bob = user("bob");
const people = (core: Core) => [new Someone(core, ann), new Someone(core, bob)] as const;
const put = (who: Someone, id: string, more: Record<string, unknown> = {}) =>
  who.call("context_put", { id, content: "text", ...more });
const code = (expected: string) => ({ code: expected });

describe("a write", () => {
  test("says who may read, keeps it, and only its owner changes it; what is public stays so", async () => {
    await using core = startSessions();
    const [one, other] = people(core);
    await put(one, "a/x", { visibility: "private", to: ["@BOB@example.com".toLowerCase(), "bob@example.com"] });
    await put(one, "a/x", { title: "two" });
    expect(await other.call("context_metadata", { id: "a/x" })).toMatchObject({
      ...{ visibility: "private", owner: "user:ann@example.com", to: ["bob@example.com"], title: "two" },
    });
    await put(other, "a/x", { content: "by bob" });
    for (const more of [{ visibility: "public" }, { visibility: "private" }, { visibility: "agent_only" }])
      await expect(put(other, "a/x", more)).rejects.toMatchObject(code("forbidden"));
    await put(one, "a/x", { visibility: "private" });
    await expect(other.call("context_get", { id: "a/x" })).rejects.toMatchObject(code("not_found"));
    await put(one, "a/x", { visibility: "public", content: "for all" });
    expect((await other.call("context_get", { id: "a/x" }))["visibility"]).toBeUndefined();
    await one.call("context_delete", { id: "a/x" });
    await expect(put(one, "a/x", { visibility: "private" })).rejects.toMatchObject(code("invalid_input"));
    checkUsage(core);
  });

  test("refuses readers that cannot be meant", async () => {
    await using core = startSessions();
    const [one] = people(core);
    const wrong = [
      { visibility: "secret" },
      { to: ["bob"] },
      { visibility: "public", to: ["bob"] },
      { visibility: "private", to: ["\n"] },
      { visibility: "private", to: Array.from({ length: 65 }, (_, n) => `a${n}`) },
      { visibility: "agent_only" },
    ];
    for (const more of wrong)
      expect([more, await put(one, "a/x", more).catch(({ code: found }) => found)]).toEqual([more, "invalid_input"]);
    const unlisted = await one.as("one", "reviewer");
    await expect(put(unlisted, "a/x", { visibility: "agent_only" })).rejects.toMatchObject({
      message: expect.stringContaining("No grant lists the type of the agent one"),
    });
  });

  test("under the id of what one may not read says that it is taken, in every state of it", async () => {
    await using core = startSessions();
    const [one, other] = people(core);
    const refused = async () => {
      await expect(put(other, "a/x", { if_none_match: "*" })).rejects.toMatchObject({
        ...{ code: "id_taken", message: 'The id "a/x" is taken', details: {} },
      });
    };
    await put(one, "a/x", { visibility: "private", expires_in: 1 });
    await refused();
    await one.call("context_delete", { id: "a/x" });
    await refused();
    await expect(one.call("context_get", { id: "a/x" })).rejects.toMatchObject(code("deleted"));
    await expect(other.call("context_get", { id: "a/x" })).rejects.toMatchObject(code("not_found"));
    await put(one, "a/x");
    expect((await one.call("context_get", { id: "a/x" }))["visibility"]).toBe("private");
    await core.call("context_purge", { id: "a/x" });
    await refused();
    expect((await core.call("audit_verify", {}))["ok"]).toBe(true);
    checkUsage(core);
  });

  test("of a caller that names no agent is read by all its agents, that of an agent by it alone", async () => {
    await using core = startSessions();
    const [itself] = people(core);
    const [one, two] = [await itself.as("one"), await itself.as("two")];
    await put(itself, "a/caller", { visibility: "private" });
    await put(one, "a/agent", { visibility: "private" });
    const read = (who: Someone, id: string) => who.call("context_get", { id }).then(() => "read", codeOf);
    expect([await read(one, "a/caller"), await read(two, "a/caller")]).toEqual(["read", "read"]);
    expect([await read(two, "a/agent"), await read(itself, "a/agent")]).toEqual(["not_found", "not_found"]);
    await one.call("agent_leave", { name: "one" });
    const next = await itself.as("one");
    expect(await read(next, "a/agent")).toBe("read");
  });
});

const fail = (error: unknown): never => {
  throw error;
};

const codeOf = ({ code: found }: { code: string }) => found;

test("a succession is shown where all readers may see the successor", async () => {
  await using core = startSessions();
  const [one, other] = people(core);
  const successors = async (id: string, who = one) => (await who.call("context_get", { id }))["superseded_by"];
  await put(one, "a/open");
  await put(one, "a/own", { visibility: "private" });
  const since = core.invoker.position();
  await put(one, "a/next", { visibility: "private", supersedes: ["a/open", "a/own"] });
  expect([await successors("a/open"), await successors("a/own")]).toEqual([undefined, ["a/next"]]);
  const waited = await other.call("context_wait", { since, timeout_seconds: 0 });
  expect(waited["changes"]).toEqual([]);
  const current = async (who: Someone) =>
    ((await who.call("context_list", { current: true }))["contexts"] as { id: string }[]).map(({ id }) => id);
  expect([await current(one), await current(other)]).toEqual([["a/next", "a/open"], ["a/open"]]);
  const before = core.invoker.position();
  await put(one, "a/next", { visibility: "public" });
  expect([await successors("a/open", other), await successors("a/own")]).toEqual([["a/next"], ["a/next"]]);
  const { changes } = await other.call("context_wait", { since: before, timeout_seconds: 0 });
  expect((changes as { target: string; outcome: string }[]).map((each) => `${each.target} ${each.outcome}`)).toEqual([
    "a/next shared",
    "a/open superseded",
  ]);
  await one.call("context_delete", { id: "a/next" });
  expect([await successors("a/open"), await successors("a/own")]).toEqual([undefined, undefined]);
  expect((await core.call("audit_verify", {}))["ok"]).toBe(true);
});

test("what not everyone may read is superseded by its owner alone", async () => {
  await using core = startSessions();
  const [one, other] = people(core);
  const successors = async (id: string) => (await one.call("context_get", { id }))["superseded_by"];
  const current = async () =>
    ((await one.call("context_list", { current: true }))["contexts"] as { id: string }[]).map(({ id }) => id);
  const own = ["a/later", "a/own"];
  // Of one that is not there yet too.
  await put(other, "a/guess", { supersedes: own });
  for (const id of own) await put(one, id, { visibility: "private" });
  expect([await successors("a/own"), await successors("a/later")]).toEqual([undefined, undefined]);
  expect(await current()).toEqual(["a/guess", "a/later", "a/own"]);
  const since = core.invoker.position();
  const outcomes = async () => {
    const { changes } = await one.call("context_wait", { since, timeout_seconds: 0 });
    return (changes as { target: string; outcome: string }[]).map((each) => `${each.target} ${each.outcome}`);
  };
  await put(one, "a/next", { supersedes: ["a/own"] });
  expect([await successors("a/own"), await current()]).toEqual([["a/next"], ["a/guess", "a/later", "a/next"]]);
  // Whoever writes its newest version says what it supersedes.
  await put(other, "a/next");
  expect(await successors("a/own")).toBeUndefined();
  await put(one, "a/own", { visibility: "public" });
  expect(await successors("a/own")).toEqual(["a/guess", "a/next"]);
  expect(await outcomes()).toEqual([
    ...["a/next created", "a/own superseded", "a/next updated", "a/own current", "a/own shared"],
  ]);
  expect((await core.call("audit_verify", {}))["ok"]).toBe(true);
});

test("versions that history limits removed are shown to no one who could not read them", async () => {
  const limits = { history: { maxVersions: 1, maxDays: 0, keepHours: 0, spaces: {} } };
  await using core = startSessions({ limits });
  const [one, other] = people(core);
  const since = core.invoker.position();
  await put(one, "a/x", { visibility: "private" });
  await put(one, "a/x", { visibility: "public" });
  await put(one, "a/x");
  for (const who of [one, other]) {
    const { changes } = await who.call("context_wait", { since, timeout_seconds: 0 });
    expect((changes as { version: number }[]).map(({ version }) => version)).toEqual([2, 3]);
    expect(await who.call("context_metadata", { id: "a/x" })).toMatchObject({ floor: 3, versions: 1 });
  }
});

test("the end of its time is shown to its readers alone", async () => {
  const at = { ms: 1_800_000_000_000 };
  await using core = startSessions({ nowMs: () => at.ms });
  const [one, other] = people(core);
  const since = core.invoker.position();
  await put(one, "a/x", { visibility: "private", expires_in: 10 });
  at.ms += 20_000;
  const duty = new ExpireDuty({
    reader: core.store.reader,
    log: core.log,
    expiring: [contextsExpiring],
    onError: fail,
  });
  await duty.look(AbortSignal.timeout(10_000));
  await put(other, "a/other");
  const outcomes = async (who: Someone) =>
    ((await who.call("context_wait", { since, timeout_seconds: 0 }))["changes"] as { target: string }[]).map(
      ({ target }) => target,
    );
  expect(await outcomes(other)).toEqual(["a/other"]);
  expect(await outcomes(one)).toEqual(["a/x", "a/x", "a/other"]);
  await expect(one.call("context_get", { id: "a/x" })).rejects.toMatchObject(code("deleted"));
  await expect(other.call("context_get", { id: "a/x" })).rejects.toMatchObject(code("not_found"));
});

test("an edge keeps and shares only what is public, and asks as the same agent", async () => {
  const upstream = startSessions();
  const pair = startEdgePair({ upstream, features: [agentFeature] });
  await pair.poll();
  const one = await new Someone(upstream, ann).as("one");
  await put(one, "a/own", { visibility: "private" });
  await put(one, "a/open");
  const read = (id: string, caller = ann, as?: string) =>
    pair
      .invoke("context_get", { id, ...(as === undefined ? {} : { as }) }, caller)
      .then(({ output, cache }) => `${output["content"]} ${cache?.state}`, codeOf);
  const both = [read("a/own", bob), read("a/own", ann, one.handle), read("a/own", bob)];
  expect(await Promise.all(both)).toEqual(["not_found", "text miss", "not_found"]);
  expect(await read("a/own", ann, one.handle)).toBe("text miss");
  expect(await read("a/own", bob)).toBe("not_found");
  expect(await read("a/own", ann, one.handle)).toBe("text miss");
  expect([await read("a/open"), await read("a/open", bob)]).toEqual(["text miss", "text hit"]);
  const targets = (await pair.pull()).items.map(({ target }) => target);
  expect(targets.filter((target) => target.startsWith("a/"))).toEqual(["a/open"]);
  await put(one, "a/own", { visibility: "public", content: "shown" });
  await pair.poll();
  expect([await read("a/own", bob), await read("a/own", bob)]).toEqual(["shown miss", "shown hit"]);
  await pair.close();
  await upstream.close();
});

test("below the fleet level there are no readers of their own, and everything works as before", async () => {
  const folder = temporaryFolder();
  makeStoreAt(join(folder, "store"), 2);
  await using core = startSessions({ folder });
  const [one, other] = people(core);
  await put(one, "a/x");
  await expect(put(one, "a/y", { visibility: "private" })).rejects.toMatchObject(code("unavailable"));
  expect((await other.call("context_list"))["contexts"]).toHaveLength(1);
  await core.call("context_patch", { id: "a/x", format: "edit", patch: { op: "append", text: "!" } });
  expect((await other.call("context_history", { id: "a/x" }))["versions"]).toHaveLength(2);
});

test("over HTTP and on the page it is said who may read", async () => {
  await using core = startSessions();
  const written = await core.http(
    "/contexts/a/x?visibility=private&to=bob@example.com&to=builder",
    { method: "PUT", body: "text", headers: { "content-type": "text/plain" } },
    ann,
  );
  expect(written.status).toBe(201);
  const shown = await core.http("/contexts/a/x/metadata", {}, bob);
  expect(await shown.json()).toMatchObject({ visibility: "private", to: ["bob@example.com", "builder"] });
  expect((await core.http("/contexts/a/x", {}, user("carl"))).status).toBe(404);
  const taken = await core.http(
    "/contexts/a/x",
    { method: "PUT", body: "x", headers: { "content-type": "text/plain" } },
    user("carl"),
  );
  expect([taken.status, ((await taken.json()) as { code: string }).code]).toEqual([409, "id_taken"]);
  const web = webOver(core, { features: [contextFeature] });
  const page = async (path: string, caller = ann) =>
    (await web.fetch(new Request(`http://cairn${path}`), caller, "http"))?.text() ?? "";
  const text = (html: string) => html.replace(/<[^>]*>/g, "").replace(/\s+/g, " ");
  expect(text(await page("/ui/contexts/a/x"))).toMatch(/private, of .*ann.*, for bob@example.com, builder/);
  expect(await page("/")).toContain('<span class="tag">private</span>');
  expect(await page("/", user("carl"))).not.toContain("a/x");
});
