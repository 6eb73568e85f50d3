// Waits for changes, quotas, default rates and what lists leave out.

import { describe, expect, test } from "bun:test";
import { granted, startCore } from "../kit/core.ts";
import { refusal } from "../kit/refusal.ts";
import { checkUsage } from "../kit/usage.ts";

const KEEP_ALL = { maxVersions: 0, maxDays: 0, keepHours: 0, spaces: {} };
const DAY_MS = 24 * 60 * 60 * 1000;

describe("context_wait", () => {
  test("answers what came after a position, then blocks until the next matching change", async () => {
    await using core = startCore();
    await core.call("context_put", { id: "a/x", content: 1 });
    await core.call("context_put", { id: "b/x", content: 1 });
    const since = core.invoker.positionAt(0);
    expect(await core.call("context_wait", { prefix: "a/", since })).toMatchObject({
      changes: [{ target: "a/x", version: 1, outcome: "created", caller: "local", operation: "context_put" }],
      position: core.invoker.positionAt(2),
      timed_out: false,
    });
    const waiting = core.call("context_wait", { id: "a/x", timeout_seconds: 30 });
    await core.call("context_put", { id: "a/y", content: 1 });
    const { etag } = await core.call("context_put", { id: "a/x", content: 2 });
    expect(await waiting).toMatchObject({
      changes: [{ target: "a/x", version: 2, etag }],
      position: core.invoker.positionAt(4),
    });
  });

  test("times out, ends with its caller, with the node, and below the floor of another history", async () => {
    await using core = startCore({ streamsPerCaller: 2 });
    expect(await core.call("context_wait", { timeout_seconds: 0 })).toEqual({
      changes: [],
      position: core.invoker.position(),
      timed_out: true,
    });
    const abort = new AbortController();
    const gone = core.invoker.invoke({
      operation: "context_wait",
      input: {},
      caller: granted({ role: "reader", spaces: ["*"] }),
      signal: abort.signal,
    });
    abort.abort();
    expect((await refusal(gone)).code).toBe("cancelled");
    expect((await refusal(core.call("context_wait", { since: "0000000000-1" }))).code).toBe("history_forked");
    const oldest = refusal(core.call("context_wait", {}));
    const open = [core.call("context_wait", {}), core.call("context_wait", {})];
    expect(await oldest).toMatchObject({ code: "rate_limited", hint: expect.stringContaining("the same since") });
    core.log.changes.end();
    for (const wait of open) expect((await refusal(wait)).code).toBe("unavailable");
  });

  test("judges rights again for each change", async () => {
    await using core = startCore({
      policy: {
        rules: [
          {
            src: ["*"],
            grants: [{ role: "reader", spaces: ["a", "b"], tools: undefined, requestsPerMinute: undefined }],
          },
        ],
        problems: [],
      },
    });
    const caller = { ...granted(), kind: "user" as const };
    const waiting = core.call("context_wait", { timeout_seconds: 30 }, caller);
    await Bun.sleep(1);
    core.access.usePolicy({
      rules: [
        { src: ["*"], grants: [{ role: "reader", spaces: ["b"], tools: undefined, requestsPerMinute: undefined }] },
      ],
      problems: [],
    });
    await core.call("context_put", { id: "a/x", content: 1 });
    await core.call("context_put", { id: "b/x", content: 1 });
    expect(await waiting).toMatchObject({ changes: [{ target: "b/x" }] });
  });
});

describe("quotas", () => {
  test("one caller fills its quota; others write on, and purging makes room", async () => {
    await using core = startCore({ limits: { history: KEEP_ALL, quota: { callerBytes: 12_000, spaceBytes: 0 } } });
    const alice = granted({ role: "operator", spaces: ["*"] });
    await core.call("context_put", { id: "a/x", content: "x".repeat(6000) }, alice);
    expect(await refusal(core.call("context_put", { id: "a/y", content: "x".repeat(7000) }, alice))).toMatchObject({
      code: "quota_exceeded",
      details: { quota: "caller", limit: 12_000, used: 6256 },
    });
    await core.call("context_put", { id: "a/y", content: "x".repeat(6000) });
    await core.call("context_put", { id: "a/z", content: "x".repeat(4000) }, alice);
    await core.call("context_delete", { id: "a/z" }, alice);
    await core.call("context_purge", { id: "a/x" }, alice);
    await core.call("context_put", { id: "a/x", content: "x".repeat(6000) }, alice);
    checkUsage(core);
  });

  test("a version counts for its title, its tags and its rows too, so that empty ones do not come for nothing", async () => {
    await using core = startCore({ limits: { history: KEEP_ALL, quota: { callerBytes: 3000, spaceBytes: 0 } } });
    const write = () =>
      core.call("context_put", { id: "a/x", content: "", title: "t".repeat(200), tags: ["g".repeat(60)] });
    for (let i = 0; i < 5; i++) await write();
    expect((await refusal(write())).code).toBe("quota_exceeded");
    await core.call("context_delete", { id: "a/x" });
    checkUsage(core);
    await core.call("context_purge", { id: "a/x" });
    checkUsage(core);
  });

  test("of a space count everybody's bytes; history limits give room back", async () => {
    await using core = startCore({
      limits: {
        history: { maxVersions: 1, maxDays: 0, keepHours: 0, spaces: {} },
        quota: { callerBytes: 0, spaceBytes: 10_000 },
      },
    });
    for (let i = 0; i < 5; i++) await core.call("context_put", { id: "a/x", content: "x".repeat(9000) });
    expect((await refusal(core.call("context_put", { id: "a/y", content: "x".repeat(2000) }))).code).toBe(
      "quota_exceeded",
    );
    await core.call("context_put", { id: "b/y", content: "x".repeat(2000) });
    checkUsage(core);
  });
});

test("idempotency keys are forgotten after a day of log time", async () => {
  let now = 1_700_000_000_000;
  await using core = startCore({ nowMs: () => now });
  const put = (content: number) => core.call("context_put", { id: "a/x", content, idempotency_key: "k" });
  expect(await put(1)).toMatchObject({ version: 1 });
  now += DAY_MS;
  expect(await put(1)).toMatchObject({ version: 1 });
  expect((await refusal(put(2))).code).toBe("key_reused");
  now += 1;
  expect(await put(2)).toMatchObject({ version: 2 });
  expect(await put(2)).toMatchObject({ version: 2 });
  for (let i = 0; i < 20; i++) await core.call("context_put", { id: "a/y", content: i, idempotency_key: `y${i}` });
  now += 2 * DAY_MS;
  for (let i = 0; i < 20; i++) await core.call("context_put", { id: "a/y", content: i, idempotency_key: `z${i}` });
  expect(core.store.reader.get("SELECT COUNT(*) AS n FROM idempotency")).toEqual({ n: 20 });
});

test("a caller's default rate comes from the settings, a grant's own limit counts, and the local admin has none", async () => {
  await using core = startCore({ nowMs: () => 1_700_000_000_000, requestsPerMinute: 3 });
  const plain = granted({ role: "reader", spaces: ["*"] });
  for (let i = 0; i < 3; i++) await core.call("context_list", {}, plain);
  expect((await refusal(core.call("context_list", {}, plain))).code).toBe("rate_limited");
  const generous = {
    ...granted({ role: "reader", spaces: ["*"], limits: { requests_per_minute: 10 } }),
    login: "bob@example.com",
  };
  for (let i = 0; i < 10; i++) await core.call("context_list", {}, generous);
  expect((await refusal(core.call("context_list", {}, generous))).code).toBe("rate_limited");
  for (let i = 0; i < 20; i++) await core.call("context_list", {});
});

test("context_list answers only the fields that were asked for, and id", async () => {
  await using core = startCore();
  await core.call("context_put", { id: "a/x", content: 1, title: "T" });
  expect(await core.call("context_list", { fields: ["title"] })).toEqual({ contexts: [{ id: "a/x", title: "T" }] });
  expect((await refusal(core.call("context_list", { fields: ["content"] }))).code).toBe("invalid_input");
});

test("a burst of small patches of a large document lets others have their turn", async () => {
  await using core = startCore({ limits: { history: { maxVersions: 2, maxDays: 0, keepHours: 0, spaces: {} } } });
  const content = Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [`key${at}`, at]));
  await core.call("context_put", { id: "a/large", content });
  const patch = (at: number) => ({ id: "a/large", format: "merge", patch: { at } });
  // How many are done between two turns of the event loop.
  let done = 0;
  const turns: number[] = [];
  const watch = setInterval(() => turns.push(done), 0);
  const many = core.call("context_many", {
    writes: Array.from({ length: 8 }, (_, at) => ({ operation: "context_patch", ...patch(at) })),
  });
  await Promise.all([
    many,
    ...Array.from({ length: 64 }, (_, at) => core.call("context_patch", patch(at)).then(() => done++)),
    ...Array.from({ length: 20 }, () =>
      core.call("context_restore", { id: "a/large", version: 1 }).catch(() => done++),
    ),
  ]);
  clearInterval(watch);
  turns.push(done);
  const steps = turns.map((count, at) => count - (turns[at - 1] ?? 0));
  expect(Math.max(...steps)).toBeLessThanOrEqual(16);
  expect(done).toBe(84);
  // A second of computing, however long a busy machine takes for it.
}, 300_000);
