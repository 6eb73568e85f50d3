// What an edge has proven about its state, and for when (replication.md 28): from answers of the feed, from an earlier
// run, and from stored moments of this boot and others.

import { expect, test } from "bun:test";
import { FRESH_MS, Freshness } from "../../src/cache/freshness.ts";

/** A freshness whose clocks a test sets; a step of the clock is 10 ms. */
function freshness(since = "boot") {
  const at = { ms: 50_000, wallMs: 1_000_000 };
  const clock = { nowMs: () => at.ms, stepMs: 10, since };
  return { at, state: new Freshness(clock, () => at.wallMs) };
}

test("an edge is fresh for two seconds after the last answer was requested, a step of the clock included", () => {
  const { at, state } = freshness();
  expect(state.isFresh()).toBe(false);
  state.recordAnswer(50_000, 700);
  at.ms = 50_000 + FRESH_MS - 10;
  expect(state.isFresh()).toBe(true);
  at.ms += 1;
  expect(state.isFresh()).toBe(false);
  // An answer without proof of its age declares nothing.
  const other = freshness();
  other.state.recordAnswer(50_000, Number.POSITIVE_INFINITY);
  expect(other.state.isFresh()).toBe(false);
});

test("what is proven never goes back, and is the moment of the answer without the age of its upstream", () => {
  const { state } = freshness();
  state.recordAnswer(50_000, 700);
  state.recordAnswer(49_000, 0);
  state.recordAnswer(50_100, 5_000);
  expect([state.lastAnswerMs, state.provenMs]).toEqual([50_100, 49_300]);
  state.resume(40_000);
  expect(state.provenMs).toBe(49_300);
  state.resume(49_400);
  expect(state.provenMs).toBe(49_400);
  state.reset();
  expect([state.lastAnswerMs, state.provenMs, state.isFresh()]).toEqual([-Infinity, -Infinity, false]);
  expect(state.isProvenSince(0)).toBe(false);
});

test("what an earlier run had proven says nothing about this process", () => {
  const { state } = freshness();
  state.resume(49_900);
  expect(state.isProvenSince(10)).toBe(false);
  state.recordAnswer(49_500, 500);
  expect(state.isProvenSince(48_990)).toBe(true);
  expect(state.isProvenSince(48_991)).toBe(false);
});

test("an age is never too small, and infinite where nothing is proven", () => {
  const { state } = freshness();
  expect(state.ageOf(49_000)).toBe(1_010);
  expect(state.ageOf(60_000)).toBe(10);
  expect(state.ageOf(-Infinity)).toBe(Infinity);
});

test("a stored moment is read by the clock of its boot, by wall time after another, and not if that went back", () => {
  const { at, state } = freshness();
  const stored = state.toStored(48_000);
  expect(stored).toEqual({ proven_wall: 1_000_000 - 2_010, proven_clock: 48_000, clock: "boot" });
  expect(state.fromStored(stored)).toBe(48_000);
  // Of this boot, but later than now: no state is proven for the future.
  expect(state.fromStored({ ...stored, proven_clock: 70_000 })).toBe(50_000);
  at.wallMs += 500;
  for (const clock of ["another", ""]) expect(state.fromStored({ ...stored, clock })).toBe(50_000 - 2_510);
  expect(freshness("").state.fromStored({ ...stored, clock: "" })).toBe(50_000 - 2_010);
  at.wallMs = stored.proven_wall - 1;
  expect(state.fromStored({ ...stored, clock: "another" })).toBe(-Infinity);
  expect(state.toStored(-Infinity)).toEqual({ proven_wall: 0, proven_clock: 0, clock: "" });
});
