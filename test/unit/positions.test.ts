// The positions of callers (replication.md 27): what a session read has to wait for, after answers of other nodes, in
// this history and in others.

import { expect, test } from "bun:test";
import type { Position } from "../../src/log/position.ts";
import { Positions } from "../../src/operation/positions.ts";
import { startCore } from "../kit/core.ts";
import { logWith } from "../kit/log-with.ts";

const OLD = "0".repeat(10);
const NEW = "1".repeat(10);
const UNKNOWN = "2".repeat(10);
const at = (epoch: string, seq: number) => `${epoch}-${seq}`;

/** Positions over a log in epoch NEW, which was forked from OLD at 5; a test moves it. */
function nodeAt(core: ReturnType<typeof startCore>, seq: number) {
  const here: Position = { epoch: NEW, seq };
  const log = logWith(core.log, {
    position: () => ({ ...here }),
    sameHistory: (position) => position.epoch === NEW || (position.epoch === OLD && position.seq <= 5),
  });
  return { here, positions: new Positions(log) };
}

test("a read waits for the newest of what its caller saw and shows, until the node has that", async () => {
  await using core = startCore();
  const { here, positions } = nodeAt(core, 10);
  expect(positions.missing("ann", undefined)).toBeUndefined();
  expect(positions.missing("ann", at(NEW, 10))).toBeUndefined();
  expect(positions.missing("ann", at(NEW, 11))).toEqual({ epoch: NEW, seq: 11 });
  positions.saw("ann", at(NEW, 20));
  positions.saw("ann", at(NEW, 15));
  expect(positions.missing("ann", undefined)).toEqual({ epoch: NEW, seq: 20 });
  expect(positions.missing("ann", at(NEW, 12))).toEqual({ epoch: NEW, seq: 20 });
  expect(positions.missing("ann", at(NEW, 30))).toEqual({ epoch: NEW, seq: 30 });
  expect(positions.missing("bob", undefined)).toBeUndefined();
  here.seq = 19;
  expect(positions.missing("ann", undefined)).toEqual({ epoch: NEW, seq: 20 });
  here.seq = 20;
  expect(positions.missing("ann", undefined)).toBeUndefined();
});

test("a later answer of the same history is remembered in place of an earlier one, as is one of another", async () => {
  await using core = startCore();
  const { positions } = nodeAt(core, 10);
  positions.saw("ann", at(NEW, 20));
  positions.saw("ann", at(NEW, 21));
  expect(positions.missing("ann", undefined)).toEqual({ epoch: NEW, seq: 21 });
  // The node that gave it has been taken over by a history that this node does not have yet.
  positions.saw("ann", at(UNKNOWN, 12));
  expect(positions.missing("ann", at(NEW, 11))).toEqual({ epoch: NEW, seq: 11 });
});

test("a position of another history is refused where it is shown, and forgotten where it was seen", async () => {
  await using core = startCore();
  const { positions } = nodeAt(core, 10);
  expect(positions.missing("ann", at(OLD, 5))).toBeUndefined();
  expect(() => positions.missing("ann", at(OLD, 6))).toThrow("another history");
  expect(() => positions.missing("ann", at(UNKNOWN, 1))).toThrow("another history");
  positions.saw("ann", at(UNKNOWN, 90));
  expect(positions.missing("ann", undefined)).toBeUndefined();
});

test("a position is reached once it is applied here, and not within its time otherwise", async () => {
  await using core = startCore();
  const positions = new Positions(core.log);
  const put = () => core.call("context_put", { id: "a/x", content: 1 });
  const signal = new AbortController().signal;
  const { epoch } = core.log.position();
  await put();
  expect(await positions.reach(at(epoch, 1), 0, signal)).toBe(1);
  await expect(positions.reach(at(epoch, 2), 10, signal)).rejects.toMatchObject({
    code: "unavailable",
    facts: { applied: at(epoch, 1) },
  });
  const waiting = positions.reach(at(epoch, 3), 60_000, signal);
  await put();
  await put();
  expect(await waiting).toBe(3);
  await expect(positions.reach(at(UNKNOWN, 1), 0, signal)).rejects.toMatchObject({ code: "history_forked" });
  await expect(positions.reach(at(epoch, 9), 60_000, AbortSignal.abort(new Error("gone")))).rejects.toThrow("gone");
});

test("a place to go on from that lies ahead is refused where writes are ordered, and waited for elsewhere", async () => {
  await using core = startCore();
  const signal = new AbortController().signal;
  await core.call("context_put", { id: "a/x", content: 1 });
  const { epoch } = core.log.position();
  const refused = { code: "invalid_input", details: { newest: at(epoch, 1) } };
  expect(await new Positions(core.log).reachKnown(at(epoch, 1), 0, signal)).toBe(1);
  await expect(new Positions(core.log).reachKnown(at(epoch, 2), 60_000, signal)).rejects.toMatchObject(refused);
  // What it has not applied yet of what was acknowledged before is not ahead.
  const here = { epoch, seq: 1 };
  const behind = { position: () => ({ ...here }), barrier: async () => void Object.assign(here, { seq: 2 }) };
  expect(await new Positions(logWith(core.log, behind)).reachKnown(at(epoch, 2), 0, signal)).toBe(2);
  const lost = { barrier: async () => Promise.reject(new Error("another one leads")) };
  const follows = { leadership: () => ({ leading: false, server: "b", term: 2 }) };
  for (const other of [lost, follows]) {
    const waits = new Positions(logWith(core.log, other)).reachKnown(at(epoch, 2), 0, signal);
    await expect(waits).rejects.toMatchObject({ code: "unavailable", facts: { applied: at(epoch, 1) } });
  }
});
