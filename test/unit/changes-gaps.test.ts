// A feed whose seqs have gaps, as an edge's has: followers see each change once, go past what was not for this node,
// and are told of a floor and of a fork.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { MIGRATIONS } from "../../src/features/index.ts";
import { type Change, Changes } from "../../src/log/changes.ts";
import { openHistory } from "../../src/log/history.ts";
import { Store } from "../../src/store/store.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const EPOCH = "00000000ab";

function change(seq: number): Change {
  return {
    seq,
    epoch: EPOCH,
    timeMs: seq,
    caller: "local",
    via: "",
    operation: "context_put",
    target: `a/${seq}`,
    version: 1,
    contentHash: "",
    outcome: "created",
  };
}

function feedOf(rows: readonly number[], head: number): { changes: Changes; store: Store } {
  const store = Store.open({ folder: join(temporaryFolder(), "store"), migrations: MIGRATIONS, log: () => {} });
  openHistory(store);
  keep(store, rows);
  return { changes: new Changes(store.reader, { epoch: EPOCH, seq: head }), store };
}

function keep(store: Store, rows: readonly number[]): void {
  store.transaction((tx) => {
    for (const seq of rows) {
      tx.run(
        "INSERT INTO changes (seq, epoch, log_time, caller, via, operation, target, version, content_hash, outcome, hash) VALUES (?,?,?,'local','','context_put',?,1,'','created',x'')",
        seq,
        EPOCH,
        seq,
        `a/${seq}`,
      );
    }
  });
}

const seqs = (changes: readonly Change[]) => changes.map(({ seq }) => seq);

test("from the table and from the ring, each change once, and a cursor goes past what is not there", async () => {
  const { changes, store } = feedOf([3, 7], 9);
  const cursor = changes.cursor(0);
  expect(seqs(cursor.next(1))).toEqual([3]);
  expect(seqs(cursor.next(10))).toEqual([7]);
  let woken = false;
  const wait = cursor.wait(AbortSignal.timeout(5000)).then(() => {
    woken = true;
  });
  await Promise.resolve();
  expect(woken).toBe(false);
  keep(store, [12, 20, 21]);
  changes.publish([change(12), change(20), change(21)], { epoch: EPOCH, seq: 25 });
  await wait;
  expect(seqs(cursor.next(2))).toEqual([12, 20]);
  expect(seqs(cursor.next(2))).toEqual([21]);
  expect(changes.head().seq).toBe(25);
  expect(seqs(changes.cursor(12).next(10))).toEqual([20, 21]);
  expect(seqs(changes.cursor(19).next(10))).toEqual([20, 21]);
  expect(seqs(changes.cursor(22).next(10))).toEqual([]);
  store.close();
});

test("a position that moves without changes wakes who waits for it", async () => {
  const { changes, store } = feedOf([], 4);
  const cursor = changes.cursor();
  const wait = cursor.wait(AbortSignal.timeout(5000));
  changes.publish([], { epoch: EPOCH, seq: 6 });
  await wait;
  expect(cursor.next(10)).toEqual([]);
  expect(changes.head().seq).toBe(6);
  store.close();
});

test("below the floor is refused, and so is a place in a history that was left", async () => {
  const { changes, store } = feedOf([6], 8);
  store.transaction((tx) => tx.run("UPDATE head SET floor = 5"));
  expect(() => changes.cursor(4).next(1)).toThrow("kept are those after 5");
  expect(seqs(changes.cursor(5).next(1))).toEqual([6]);
  const before = changes.cursor();
  const wait = before.wait(AbortSignal.timeout(5000));
  changes.fork({ epoch: "00000000cd", seq: 2 });
  await expect(wait).rejects.toMatchObject({ code: "history_forked" });
  expect(() => before.next(1)).toThrow("another history");
  expect(changes.cursor().next(1)).toEqual([]);
  store.close();
});

test("many waits are woken some at a time, so that what else there is gets its turn, and none is forgotten", async () => {
  const { changes, store } = feedOf([], 0);
  let woken = 0;
  const waits = Array.from({ length: 500 }, async () => {
    const cursor = changes.cursor();
    await cursor.wait(AbortSignal.timeout(30_000));
    expect(seqs(cursor.next(10))).toContain(1);
    woken += 1;
  });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  await turn();
  changes.publish([change(1)]);
  await turn();
  expect(woken).toBeGreaterThan(0);
  expect(woken).toBeLessThan(200);
  // Another write meanwhile wakes nobody twice, and leaves nobody out.
  changes.publish([change(2)]);
  await Promise.all(waits);
  expect(woken).toBe(500);
  changes.end();
  store.close();
});

test("a listener whose turn has not come is called once for all that was written meanwhile", async () => {
  const { changes, store } = feedOf([], 0);
  const calls = new Map<number, number>();
  for (let at = 0; at < 100; at += 1) changes.onApplied(() => calls.set(at, (calls.get(at) ?? 0) + 1));
  for (let seq = 1; seq <= 50; seq += 1) changes.publish([change(seq)]);
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  expect(calls.size).toBe(100);
  expect(calls.get(99)).toBe(1);
  expect(Math.max(...calls.values())).toBeLessThan(3);
  changes.end();
  store.close();
});

test("a listener that fails keeps no other one from being called", async () => {
  const { changes, store } = feedOf([], 0);
  const called = new Set<number>();
  changes.onApplied(() => {
    throw new Error("planted");
  });
  for (let at = 0; at < 100; at += 1) changes.onApplied(() => called.add(at));
  expect(() => changes.publish([change(1)])).toThrow("planted");
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  expect(called.size).toBe(100);
  store.close();
});
