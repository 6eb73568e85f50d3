// Limits count work (security.md 24): costly calls use up the rate of their caller, and what takes long leaves the
// event loop free and runs one at a time, by turns.

import { expect, test } from "bun:test";
import { parseGrants } from "../../src/access/rights.ts";
import { diffJson } from "../../src/lib/json-diff.ts";
import { diffText } from "../../src/lib/text-diff.ts";
import { Turns } from "../../src/lib/turns.ts";
import { LimitedCallers } from "../../src/operation/caller-limits.ts";
import { callerWith, granted, localAdmin, startCore } from "../kit/core.ts";

const MIB = 1024 * 1024;
/** Texts of a mebibyte in which every line differs: the search for a diff goes to its bound. */
const texts = ["a", "b"].map((mark) =>
  Array.from({ length: MIB / 256 }, (_, at) => `${String(at).padStart(254, mark)}\n`).join(""),
) as [string, string];

/** Counts the turns of the event loop until `work` is done. */
async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let turns = 0;
  let done = false;
  const ended = work.then(() => {
    done = true;
  });
  while (!done) {
    await new Promise((resolve) => setTimeout(resolve));
    turns++;
  }
  await ended;
  return turns;
}

test("a diff of large texts that share nothing leaves the loop to others between its steps", async () => {
  const turns = await turnsDuring(diffText(...texts));
  // A step for each line that may differ; of a diff in one piece there would be one.
  expect(turns).toBeGreaterThan(200);
}, 60_000);

test.each([
  ["numbers", () => Array.from({ length: 300_000 }, (_, at) => at), (copy: number[]) => copy.push(1)],
  ["one list in others", () => [[Array(300_000).fill(1)]], (copy: number[][][]) => copy[0]?.push([])],
  ["keys", () => Object.fromEntries(Array.from({ length: 90_000 }, (_, at) => [`k${at}`, [at]])), () => undefined],
])("a JSON diff of many values leaves the loop to others between its slices: %s", async (_name, make, change) => {
  const [from, to] = [make(), make()];
  change(to as never);
  const comparing = diffJson(from, to);
  const turns = turnsDuring(comparing);
  expect((await comparing).length).toBeWithin(0, 3);
  // Of 16,384 values each, and one before the first.
  expect(await turns).toBeGreaterThan(4);
  const gone = AbortSignal.abort(new Error("gone"));
  await expect(diffJson(from, to, gone)).rejects.toThrow("gone");
});

test("a diff of a few lines is made at once", async () => {
  const [text] = texts;
  const found = await diffText(text, text.replace("a100\n", "a hundred\n"));
  expect(found).toMatchObject({ coarse: false });
  expect(found.work).toBeLessThan(100_000_000);
});

async function coreWithTexts(requestsPerMinute: number) {
  const core = startCore({ requestsPerMinute, nowMs: () => 1_800_000_000_000, maxDocumentBytes: MIB });
  for (const content of texts) await core.call("context_put", { id: "team/large", content });
  await core.call("context_put", { id: "team/small", content: "a" });
  return core;
}

/** Calls until one is refused, at most 1000 times. Returns how many were done. */
async function allowed(call: () => Promise<unknown>): Promise<number> {
  for (let count = 0; count < 1000; count++) {
    try {
      await call();
    } catch (error) {
      expect(error).toMatchObject({ code: "rate_limited", hint: expect.any(String) });
      return count;
    }
  }
  return 1000;
}

test("a costly read counts as many requests, a small one as one; callers count apart", async () => {
  await using core = await coreWithTexts(300);
  const reader = (name: string) => ({ ...granted({ role: "reader", spaces: ["*"] }), login: `${name}@example.com` });
  const diff = () => core.call("context_diff", { id: "team/large", from: 1, to: 2 }, reader("ann"));
  // 250 million units, and those that are linear: about 125 requests each. After two, less than that is left.
  expect(await allowed(diff)).toBeWithin(2, 5);
  expect(await allowed(() => core.call("context_get", { id: "team/small" }, reader("ann")))).toBe(0);
  expect(await allowed(() => core.call("context_get", { id: "team/small" }, reader("bob")))).toBe(300);
  // Five requests more for a mebibyte.
  expect(await allowed(() => core.call("context_get", { id: "team/large" }, reader("cid")))).toBeWithin(40, 60);
  expect(await allowed(() => core.call("context_diff", { id: "team/small", from: 1 }, localAdmin))).toBe(1000);
}, 120_000);

test("a costly read counts for the member that forwards it too", async () => {
  await using core = await coreWithTexts(5);
  const forwarded = { via: "nEDGE", role: "member" as const, spaces: undefined };
  const { signal } = new AbortController();
  const diff = (name: string) => {
    const caller = { ...granted({ role: "reader", spaces: ["*"] }), login: `${name}@example.com` };
    const input = { id: "team/large", from: 1, to: 2 };
    return core.invoker.invoke({ operation: "context_diff", input, caller, signal, forwarded });
  };
  // A member may send a hundred requests here, and this is about 125.
  await diff("ann");
  await expect(diff("bob")).rejects.toThrow("via:nEDGE is limited to 100 requests");
}, 60_000);

/** A line of which nearly each character makes a state of `a[ab]{60}c`. */
function lineOfStates(length: number): string {
  let seed = 1;
  const next = () => {
    seed = (seed * 48271) % 2147483647;
    return seed % 2 === 0 ? "a" : "b";
  };
  return Array.from({ length }, next).join("");
}

test("a search leaves the loop to others within a long line, and counts where it is given up", async () => {
  await using core = startCore({ requestsPerMinute: 1000, nowMs: () => 1_800_000_000_000 });
  await core.call("context_put", { id: "team/line", content: lineOfStates(8000) });
  const input = { pattern: "a[ab]{60}c", id: "team/line" };
  const reader = (name: string) => ({ ...granted({ role: "reader", spaces: ["*"] }), login: `${name}@example.com` });
  let turns = 0;
  const counting = setInterval(() => turns++);
  expect(await core.call("context_grep", input)).toEqual({ matches: [], searched: 1 });
  clearInterval(counting);
  expect(turns).toBeGreaterThan(5);
  const gone = new AbortController();
  const call = { operation: "context_grep", input, caller: reader("ann"), signal: gone.signal };
  const given = core.invoker.invoke(call).catch((error: unknown) => error);
  setTimeout(() => gone.abort());
  expect(await given).toMatchObject({ code: "cancelled" });
  expect(await allowed(() => core.call("context_list", {}, reader("ann")))).toBeLessThan(998);
}, 60_000);

test("a line that takes more than all work of a search is refused, since its cursor would lead nowhere", async () => {
  await using core = startCore();
  await core.call("context_put", { id: "team/line", content: `short\n${lineOfStates(40_000)}\nneedle` });
  const grep = (more: Record<string, unknown>) => core.call("context_grep", { pattern: "a[ab]{60}c", ...more });
  const { cursor } = (await grep({})) as { cursor: string };
  await expect(grep({ cursor })).rejects.toMatchObject({ code: "too_large", details: { id: "team/line", line: 2 } });
});

test("a list of which little matches is made in steps, counts by what it looks at, and is whole", async () => {
  await using core = startCore({ requestsPerMinute: 100, nowMs: () => 1_800_000_000_000 });
  for (const id of ["a/first", "z/last"]) await core.call("context_put", { id, content: "x", tags: ["rare"] });
  core.store.transaction((tx) => {
    tx.run(
      `INSERT INTO contexts WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
         SELECT printf('m%s/%06d', i % 2, i), 'm' || (i % 2), 1, '', 'text/plain', '', '', 1, '', 0, 0, 0, 0, '', '', 'public', '', '', '', '', 0, '' FROM n`,
    );
  });
  const ann = { ...granted({ role: "reader", spaces: ["a", "z", "m1"] }), login: "ann@example.com" };
  const list = (more: Record<string, unknown> = {}) => core.call("context_list", { tag: "rare", ...more }, ann);
  const idsOf = (output: Record<string, unknown>) => (output["contexts"] as { id: string }[]).map(({ id }) => id);
  let turns = 0;
  const counting = setInterval(() => turns++);
  const whole = await list();
  clearInterval(counting);
  expect([idsOf(whole), "cursor" in whole]).toEqual([["a/first", "z/last"], false]);
  expect(turns).toBeGreaterThan(1);
  const first = await list({ limit: 1 });
  expect(idsOf(first)).toEqual(["a/first"]);
  expect(idsOf(await list({ limit: 1, cursor: first["cursor"] }))).toEqual(["z/last"]);
  // Six steps of two requests each, and its own.
  expect(await allowed(list)).toBeWithin(2, 8);
}, 60_000);

test("a search counts by what it reads", async () => {
  await using core = await coreWithTexts(100);
  const ann = { ...granted({ role: "reader", spaces: ["*"] }), login: "ann@example.com" };
  // Ten units of work for each of a mebibyte: five requests, and its own.
  const search = () => core.call("context_grep", { pattern: "nowhere", id: "team/large" }, ann);
  expect(await allowed(search)).toBeWithin(10, 20);
}, 60_000);

const READER = granted({ role: "reader", spaces: ["*"] });

/** A core whose clock stands still, with many spaces, a long history and many changes, and an admin of it. */
async function coreWithRows(requestsPerMinute: number) {
  const core = startCore({ requestsPerMinute, nowMs: () => 1_800_000_000_000 });
  for (const space of ["a", "b"]) await core.call("context_put", { id: `${space}/first`, content: "x" });
  const { seq } = core.log.position();
  core.store.transaction((tx) => {
    tx.run(
      `INSERT INTO versions (id, version, seq, hash, content_type, title, tags, size, author, via, log_time, deleted, content)
         WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i <= 2000)
         SELECT 'a/first', i, 1, '', 'text/plain', '', '', 0, '', '', 0, 1, x'' FROM n`,
    );
    tx.run(
      `INSERT INTO contexts WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         SELECT printf('s%05d/x', i), printf('s%05d', i), 1, '', 'text/plain', '', '', 1, '', 0, 0, 0, 0, '', '', 'public', '', '', '', '', 0, '' FROM n`,
    );
    tx.run(
      `INSERT INTO changes (seq, epoch, log_time, caller, via, operation, target, version, content_hash, outcome, hash)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         SELECT ? + i, ?, 0, '', '', 'context_put', printf('s%05d/x', i), 1, '', 'created', x'' FROM n`,
      seq,
      core.log.position().epoch,
    );
    tx.run("UPDATE contexts SET version = 2001 WHERE id = 'a/first'");
  });
  const ann = { ...granted({ role: "admin", spaces: ["a", "s*"] }), login: "ann@example.com" };
  return { core, ann, [Symbol.asyncDispose]: () => core[Symbol.asyncDispose]() };
}

/** Reads of many rows, with the fewest requests that each must count as and the fewest turns that it must leave. */
const MANY_ROWS: [string, Record<string, unknown>, { requests: number; turns: number }][] = [
  ["context_history", { id: "a/first", limit: 500 }, { requests: 2, turns: 0 }],
  ["context_list", { limit: 500 }, { requests: 2, turns: 0 }],
  ["context_list", { tag: "nowhere" }, { requests: 9, turns: 4 }],
  ["prime", {}, { requests: 10, turns: 50 }],
  ["audit_query", { limit: 500 }, { requests: 2, turns: 0 }],
  ["audit_query", { caller: "nobody@example.com" }, { requests: 10, turns: 8 }],
  ["context_export", { prefix: "a/" }, { requests: 2, turns: 3 }],
];

test.each(MANY_ROWS)("%s %j counts by its rows and leaves the loop to others", async (name, input, fewest) => {
  await using made = await coreWithRows(100);
  const { core, ann } = made;
  let turns = 0;
  const turn = () => {
    turns++;
    counting = setImmediate(turn);
  };
  let counting = setImmediate(turn);
  await core.call(name, input, ann);
  clearImmediate(counting);
  expect(turns).toBeGreaterThanOrEqual(fewest.turns);
  // One request less: the first call.
  expect(await allowed(() => core.call(name, input, ann))).toBeLessThan(100 / fewest.requests);
});

test("a list passes over the spaces that its caller may not see", async () => {
  await using made = await coreWithRows(100);
  const ann = { ...granted({ role: "reader", spaces: ["b", "s19999"] }), login: "ann@example.com" };
  const { contexts } = (await made.core.call("context_list", {}, ann)) as { contexts: { id: string }[] };
  expect(contexts.map(({ id }) => id)).toEqual(["b/first", "s19999/x"]);
});

test("a wait and a stream count what lies behind, and nothing for what comes", async () => {
  await using made = await coreWithRows(100);
  const { core, ann } = made;
  const bob = { ...ann, login: "bob@example.com" };
  const { epoch, seq } = core.log.position();
  const input = { since: `${epoch}-${seq}`, id: "a/nothing" };
  core.log.changes.restart({ epoch, seq: seq + 20_000 });
  const last = `${epoch}-${seq + 20_000}`;
  const wait = () => core.call("context_wait", { ...input, id: "s20000/x" }, ann);
  expect(await wait()).toMatchObject({ position: last, changes: [{ target: "s20000/x" }] });
  // Twenty million units: nine requests and its own, or ten.
  expect(await allowed(wait)).toBeWithin(8, 11);

  const signal = new AbortController().signal;
  const following = await core.invoker.follow({ operation: "context_wait", input, caller: bob, signal });
  while (following.take(100).more);
  expect(following.position).toBe(last);
  const change = { epoch, timeMs: 0, caller: "", via: "", operation: "context_put", target: "b/live" };
  for (let after = 1; after <= 400; after++)
    core.log.changes.publish([
      { ...change, seq: seq + 20_000 + after, version: 1, contentHash: "", outcome: "created" },
    ]);
  expect(following.take(100)).toEqual({ items: [], more: false });
  following.close();
  expect(await allowed(() => core.call("context_get", { id: "b/first" }, { ...READER, login: bob.login }))).toBeWithin(
    88,
    92,
  );
}, 60_000);

const READING = parseGrants([{ role: "reader", spaces: ["*"] }], "The test").grants;

test("the work of a request counts by its sum, however small its pieces are", () => {
  const limited = new LimitedCallers({ requestsPerMinute: 100, streamsPerCaller: 1 }, () => 0);
  const spend = limited.request(callerWith(), READING);
  for (let piece = 0; piece < 100; piece++) spend(1_000_000);
  // Fifty requests for the pieces, and the one that they belong to.
  const more = () => limited.request(callerWith(), READING);
  for (let request = 0; request < 49; request++) more();
  expect(more).toThrow(expect.objectContaining({ code: "rate_limited" }));
});

test("the description of the surface and the metrics count as requests", async () => {
  await using core = startCore({ requestsPerMinute: 3, nowMs: () => 0 });
  const ann = granted({ role: "reader", spaces: ["*"] });
  const status = async (path: string) => (await core.http(path, {}, ann)).status;
  expect([await status("/openapi.json"), await status("/metrics"), await status("/openapi.json")]).toEqual([
    200, 200, 200,
  ]);
  expect([await status("/openapi.json"), await status("/metrics")]).toEqual([429, 429]);
});

test("a large write counts as several requests", async () => {
  await using core = await coreWithTexts(100);
  const member = granted({ role: "member", spaces: ["*"] });
  let at = 0;
  const put = (content: string) => () => core.call("context_put", { id: `team/w${at++}`, content }, member);
  expect(await allowed(put(texts[0]))).toBeWithin(20, 40);
  const other = callerWith({ ...member, login: "other@example.com" });
  expect(await allowed(() => core.call("context_put", { id: `team/w${at++}`, content: "x" }, other))).toBeWithin(
    90,
    101,
  );
}, 60_000);

test("turns go round, one piece runs at a time, and the number that waits is bounded", async () => {
  const turns = new Turns({ perKey: 2, total: 3 });
  const order: string[] = [];
  let running = 0;
  const piece = (name: string) => async () => {
    expect(++running).toBe(1);
    await new Promise((resolve) => setTimeout(resolve));
    order.push(name);
    running--;
    if (name.endsWith("!")) throw new Error(name);
    return name;
  };
  const all = [
    turns.run("a", piece("a1")),
    turns.run("a", piece("a2")),
    turns.run("a", piece("a3!")),
    turns.run("a", piece("too many of a")),
    turns.run("b", piece("b1")),
    turns.run("c", piece("too many in all")),
  ];
  expect(all.map((one) => one === undefined)).toEqual([false, false, false, true, false, true]);
  expect((await Promise.allSettled(all)).map(({ status }) => status)).toEqual([
    "fulfilled",
    "fulfilled",
    "rejected",
    "fulfilled",
    "fulfilled",
    "fulfilled",
  ]);
  expect(order).toEqual(["a1", "a2", "b1", "a3!"]);
  expect(await turns.run("c", piece("c1"))).toBe("c1");
});
