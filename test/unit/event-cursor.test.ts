// Which cursors of a history that was left still say a place of the one that is followed.

import { expect, test } from "bun:test";
import { offsetAfterChange, offsetOf } from "../../src/features/event/cursor.ts";
import type { Fault } from "../../src/lib/fault.ts";
import { startCore } from "../kit/core.ts";

const OLD = "0123456789";
const NEW = "abcdefabcd";

/** A store with the events 1–6 of three commands; a fork after the second left those behind event 4. */
function forkedCore(floor: { offset: number; seq: number }) {
  const core = startCore();
  core.store.transaction((tx) => {
    tx.run("DELETE FROM epochs");
    tx.run("INSERT INTO epochs (n, id, parent, fork_seq, fork_hash) VALUES (1, ?, NULL, 0, x'00')", OLD);
    tx.run("INSERT INTO epochs (n, id, parent, fork_seq, fork_hash) VALUES (2, ?, ?, 20, x'00')", NEW, OLD);
    for (const [first, last, seq] of [
      [1, 2, 10],
      [3, 4, 20],
      [5, 6, 30],
    ] as const) {
      if (last > floor.offset)
        tx.run(
          "INSERT INTO event_segments (last, first, seq, log_time, bytes, hash) VALUES (?, ?, ?, 1, 1, '')",
          ...[last, first, seq],
        );
    }
    tx.run("UPDATE event_head SET tail = 6, floor = ?, floor_seq = ?", floor.offset, floor.seq);
  });
  const said = (read: () => number) => {
    try {
      return read();
    } catch (error) {
      return (error as Fault).code;
    }
  };
  const { reader } = core.store;
  return {
    [Symbol.asyncDispose]: () => core[Symbol.asyncDispose](),
    at: (epoch: string, offset: number) => said(() => offsetOf(reader, `${epoch}-e${offset}`)),
    after: (seq: number) => said(() => offsetAfterChange(reader, seq)),
  };
}

test("a cursor of before a fork is good up to the last event that both histories have", async () => {
  await using core = forkedCore({ offset: 0, seq: 0 });
  expect([0, 4, 5, 6].map((offset) => core.at(OLD, offset))).toEqual([0, 4, "history_forked", "history_forked"]);
  expect([4, 5, 6, 7].map((offset) => core.at(NEW, offset))).toEqual([4, 5, 6, "invalid_input"]);
  expect([0, 5].map((offset) => core.at("ffffffffff", offset))).toEqual(["history_forked", "history_forked"]);
});

test("where retention removed what both have, a cursor at the floor is good, and one before it is below the floor", async () => {
  await using core = forkedCore({ offset: 4, seq: 20 });
  expect([3, 4, 5].map((offset) => core.at(OLD, offset))).toEqual(["below_floor", 4, "history_forked"]);
});

test("the events after a change begin behind its last one, not below the floor", async () => {
  await using whole = forkedCore({ offset: 0, seq: 0 });
  expect([0, 9, 10, 19, 20, 99].map((seq) => whole.after(seq))).toEqual([0, 0, 2, 2, 4, 6]);
  await using short = forkedCore({ offset: 4, seq: 20 });
  expect([19, 20, 29, 30].map((seq) => short.after(seq))).toEqual(["below_floor", 4, 4, 6]);
});
