// The log of an edge by itself: its histories, what a restart and another history leave of it, and how many changes it
// keeps.

import { afterEach, expect, test } from "bun:test";
import { EdgeLog } from "../../src/cache/edge-log.ts";
import type { FeedAnswer } from "../../src/cache/feed-frames.ts";
import { edgeMigrations } from "../../src/cache/index.ts";
import { MIGRATIONS } from "../../src/features/index.ts";
import { Store } from "../../src/store/store.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const [A, B, C] = ["aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc"] as const;
/** B forked from A after its change 5, C from B after its change 9. */
const EPOCHS = [
  { n: 1, id: A, parent: null, forkSeq: 0 },
  { n: 2, id: B, parent: A, forkSeq: 5 },
  { n: 3, id: C, parent: B, forkSeq: 9 },
];

const open: Store[] = [];
afterEach(() => {
  for (const store of open.splice(0)) store.close();
});

function openLog(folder = temporaryFolder()) {
  const store = Store.open({ folder, migrations: edgeMigrations(MIGRATIONS), log: () => {} });
  open.push(store);
  const log = new EdgeLog(store);
  /** The log of the next process, which may begin before this one has ended. */
  const restarted = () => openLog(folder).log;
  const floor = () => store.reader.get<{ floor: number }>("SELECT floor FROM head")?.floor;
  const kept = () => store.reader.get<{ n: number }>("SELECT COUNT(*) AS n FROM changes")?.n;
  return { log, restarted, floor, kept };
}

const item = (seq: number): FeedAnswer["items"][number] => ({
  ...{ seq, epoch: C, timeMs: seq, caller: "", via: "", operation: "context_put", target: "a/x", version: 1 },
  ...{ contentHash: "", outcome: "created" },
});

function answer(seq: number, items: FeedAnswer["items"] = [], epochs: FeedAnswer["epochs"] = null): FeedAnswer {
  const proof = { more: false, heldMs: 0, ageMs: 0, terms: null };
  return { epoch: C, position: `${C}-${seq}`, items, epochs, ...proof };
}

test("a position is of this history up to the fork after its epoch, and gets the epoch of its seq", () => {
  const { log, restarted } = openLog();
  expect([log.ready(), log.sameHistory({ epoch: A, seq: 1 })]).toEqual([false, false]);
  log.apply(answer(12, [], EPOCHS));
  for (const each of [log, restarted()]) {
    expect([each.ready(), each.position()]).toEqual([true, { epoch: C, seq: 12 }]);
    const isOwn = ([epoch, seq]: readonly [string, number]) => each.sameHistory({ epoch, seq });
    expect(
      [
        [A, 5],
        [B, 9],
        [C, 10],
        [C, 99],
      ].every((of) => isOwn(of as [string, number])),
    ).toBe(true);
    expect(
      [
        [A, 6],
        [A, 10],
        [B, 10],
        ["dddddddddd", 1],
      ].some((of) => isOwn(of as [string, number])),
    ).toBe(false);
    expect([1, 5, 6, 9, 10, 12].map((seq) => each.positionAt(seq).epoch)).toEqual([A, A, B, B, C, C]);
  }
});

test("of another history nothing is left, also for the next process", () => {
  const { log, restarted, kept } = openLog();
  log.apply(answer(12, [item(11), item(12)], EPOCHS));
  log.reset(() => {});
  for (const each of [log, restarted()]) {
    expect([each.ready(), each.position().seq, each.writtenSeq]).toEqual([false, 0, 0]);
    expect(each.sameHistory({ epoch: C, seq: 1 })).toBe(false);
  }
  expect(kept()).toBe(0);
});

test("a position without changes is in memory until something is written with it", () => {
  const { log, restarted } = openLog();
  log.apply(answer(10, [], EPOCHS));
  log.apply(answer(11));
  expect([log.position().seq, log.writtenSeq, restarted().position().seq]).toEqual([11, 10, 10]);
  log.apply(answer(12), () => {});
  expect([log.writtenSeq, restarted().position().seq]).toEqual([12, 12]);
  log.apply(answer(13));
  log.writePosition(() => {});
  expect([log.writtenSeq, restarted().position().seq]).toEqual([13, 13]);
});

test("a jump leaves out the changes before it, for readers of the feed too", () => {
  const { log, floor, kept } = openLog();
  log.apply(answer(11, [item(10), item(11)], EPOCHS));
  const behind = log.changes.cursor(10);
  log.skipTo(answer(50), () => {});
  expect([log.position().seq, log.writtenSeq, floor(), kept()]).toEqual([50, 50, 50, 0]);
  expect(() => behind.next(10)).toThrow(expect.objectContaining({ code: "below_floor" }));
});

test("the newest hundred thousand changes are kept", () => {
  const { log, floor, kept } = openLog();
  log.apply(answer(10, [], EPOCHS));
  for (let last = 40_010; last <= 120_010; last += 40_000)
    log.apply(
      answer(
        last,
        Array.from({ length: 40_000 }, (_, at) => item(last - 39_999 + at)),
      ),
    );
  expect([kept(), floor()]).toEqual([100_000, 20_010]);
}, 60_000);
