// Refused calls for the audit (security.md 23): one row per caller, verb, space and minute with a count, and a bounded
// number of rows whatever callers do. No refusal is lost from the counts.

import { expect, test } from "bun:test";
import { type Refusal, Refusals } from "../../src/access/refusals.ts";
import { startCore } from "../kit/core.ts";

const MINUTE_MS = 60_000;
const refusal = (other: Partial<Refusal> = {}): Refusal => ({
  caller: "user:ann",
  verb: "write",
  space: "a",
  operation: "context_put",
  ...other,
});

function refusalsIn(core: ReturnType<typeof startCore>) {
  const clock = { ms: 10 * MINUTE_MS };
  const errors: unknown[] = [];
  const refusals = new Refusals({
    keepsClients: () => true,
    store: core.store,
    nowMs: () => clock.ms,
    onError: (error) => errors.push(error),
  });
  const rows = () => refusals.list(0, Number.MAX_SAFE_INTEGER, 10_000);
  return { clock, errors, refusals, rows, sum: () => rows().reduce((total, { count }) => total + count, 0) };
}

test("equal refusals of one minute are one row, whenever they are written", async () => {
  await using core = startCore();
  const { clock, refusals, rows } = refusalsIn(core);
  refusals.record(refusal());
  clock.ms += MINUTE_MS - 1;
  refusals.record(refusal());
  expect(rows()).toEqual([{ ...refusal(), minute: 10 * MINUTE_MS, count: 2 }]);
  refusals.record(refusal());
  clock.ms += 1;
  refusals.record(refusal());
  expect(rows()).toEqual([
    { ...refusal(), minute: 11 * MINUTE_MS, count: 1 },
    { ...refusal(), minute: 10 * MINUTE_MS, count: 3 },
  ]);
});

test("each other caller, verb, space and operation has a row of its own; a long space is cut", async () => {
  await using core = startCore();
  const { refusals, rows } = refusalsIn(core);
  refusals.record(refusal());
  for (const other of [{ caller: "user:bob" }, { verb: "read" }, { space: "b" }, { operation: "context_get" }])
    refusals.record(refusal(other));
  refusals.record(refusal({ space: "x".repeat(1000) }));
  expect(rows().map(({ count }) => count)).toEqual([1, 1, 1, 1, 1, 1]);
  expect(rows().map(({ space }) => space.length)).toContain(256);
});

test("a caller that asks for many spaces has 50 rows, and one for the rest; others keep theirs", async () => {
  await using core = startCore();
  const { refusals, rows, sum } = refusalsIn(core);
  for (let n = 0; n < 120; n += 1) refusals.record(refusal({ space: `s${n}` }));
  refusals.record(refusal({ space: "s0" }));
  refusals.record(refusal({ caller: "user:bob", space: "s119" }));
  expect(sum()).toBe(122);
  expect(rows()).toHaveLength(52);
  expect(rows()).toContainEqual(expect.objectContaining({ space: "s0", count: 2 }));
  expect(rows()).toContainEqual(expect.objectContaining({ caller: "user:ann", space: "…", operation: "…", count: 70 }));
  expect(rows()).toContainEqual(expect.objectContaining({ caller: "user:bob", space: "s119", count: 1 }));
  // The next rows are counted again from zero.
  refusals.record(refusal({ space: "s119" }));
  expect(rows()).toContainEqual(expect.objectContaining({ caller: "user:ann", space: "s119", count: 1 }));
});

test("a row for the rest names no client, since it is of many calls", async () => {
  await using core = startCore();
  const { refusals, rows } = refusalsIn(core);
  for (let n = 0; n < 60; n += 1) refusals.record(refusal({ space: `s${n}`, client: `tool ${n}` }));
  expect(rows()).toContainEqual(expect.objectContaining({ space: "s7", client: "tool 7" }));
  expect(rows().find(({ space }) => space === "…")).not.toHaveProperty("client");
});

test("of many callers 500 have exact rows, 500 more one each, and the rest one together", async () => {
  await using core = startCore();
  const { refusals, rows, sum } = refusalsIn(core);
  for (let n = 0; n < 1_200; n += 1) refusals.record(refusal({ caller: `user:${n}` }));
  expect(sum()).toBe(1_200);
  const counted = (space: string, isNamed = true) =>
    rows().filter((row) => row.space === space && (row.caller !== "…") === isNamed).length;
  expect([counted("a"), counted("…"), counted("…", false)]).toEqual([500, 500, 1]);
  expect(rows()).toContainEqual(expect.objectContaining({ caller: "…", space: "…", count: 200 }));
});

test("counts that could not be written are reported, kept and written later", async () => {
  await using core = startCore();
  const { refusals, errors, sum } = refusalsIn(core);
  refusals.record(refusal());
  core.store.transaction((tx) => tx.run("ALTER TABLE refusals RENAME TO away"));
  refusals.close();
  expect(errors).toHaveLength(1);
  core.store.transaction((tx) => tx.run("ALTER TABLE away RENAME TO refusals"));
  refusals.record(refusal());
  expect([sum(), errors.length]).toEqual([2, 1]);
});

test("the newest 20,000 rows are kept; a list is between two minutes, newest first, and limited", async () => {
  await using core = startCore();
  const { clock, refusals } = refusalsIn(core);
  core.store.transaction((tx) =>
    tx.run(
      `INSERT INTO refusals (minute, caller, verb, space, operation, count)
       WITH RECURSIVE n(at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM n WHERE at < 20003)
       SELECT at * ?, 'c', 'read', 'a', 'o', 1 FROM n`,
      MINUTE_MS,
    ),
  );
  clock.ms = 20_004 * MINUTE_MS;
  refusals.record(refusal());
  const minutes = (since: number, until: number, limit = 10) =>
    refusals.list(since * MINUTE_MS, until * MINUTE_MS, limit).map(({ minute }) => minute / MINUTE_MS);
  expect(minutes(0, 7)).toEqual([7, 6, 5]);
  expect(minutes(20_003, 30_000)).toEqual([20_004, 20_003]);
  expect(minutes(6, 30_000, 1)).toEqual([20_004]);
});
