// Limits count work (security.md 24): costly calls use up the rate of their caller, and what takes long leaves the
// event loop free and runs one at a time, by turns.

import { expect, test } from "bun:test";
import { diffText } from "../../src/lib/text-diff.ts";
import { Turns } from "../../src/lib/turns.ts";
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

test("a list of which little matches is made in steps, counts by what it looks at, and is whole", async () => {
  await using core = startCore({ requestsPerMinute: 100, nowMs: () => 1_800_000_000_000 });
  for (const id of ["a/first", "z/last"]) await core.call("context_put", { id, content: "x", tags: ["rare"] });
  core.store.transaction((tx) => {
    tx.run(
      `INSERT INTO contexts WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
         SELECT printf('m%s/%06d', i % 2, i), 'm' || (i % 2), 1, '', 'text/plain', '', '', 1, '', 0, 0, 0 FROM n`,
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
