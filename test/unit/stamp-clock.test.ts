// Times that a leader stamps: the wall clock, as long as it does not run ahead of the time that went by.

import { expect, test } from "bun:test";
import { ClockOff } from "../../src/fleet/index.ts";
import { stampClock } from "../../src/log/stamp-clock.ts";

function clocks() {
  const at = { wall: 1_700_000_000_000, elapsed: 1000.25 };
  const jumps: number[] = [];
  const stamp = stampClock({ nowMs: () => at.wall, elapsedMs: () => at.elapsed, onJump: (ahead) => jumps.push(ahead) });
  const pass = (ms: number) => {
    at.wall += ms;
    at.elapsed += ms;
  };
  return { at, jumps, stamp, pass };
}

test("a wall clock that goes with the time is followed, small corrections included", () => {
  const { at, jumps, stamp, pass } = clocks();
  for (const correction of [0, 4_000, -2_000, 5_000, 4_900]) {
    pass(60_000);
    at.wall += correction;
    expect(stamp()).toBe(at.wall);
  }
  expect(jumps).toEqual([]);
});

test("one that jumps a day ahead is not followed, whatever the number of stamps, until it is right again", () => {
  const { at, jumps, stamp, pass } = clocks();
  const begin = at.wall;
  at.wall += 86_400_000;
  for (let second = 1; second <= 100; second++) {
    pass(1000);
    // What goes by has fractions of a ms, a stamp has none.
    at.elapsed += 0.0001;
    expect(stamp()).toBe(begin + second * 1000);
  }
  expect(jumps).toEqual([86_400_000]);
  at.wall -= 86_400_000;
  expect(stamp()).toBe(at.wall);
  expect(jumps).toEqual([86_400_000, 0]);
});

test("one that went back a day and comes again is followed both times: log time itself does not go back", () => {
  const { at, jumps, stamp, pass } = clocks();
  at.wall -= 86_400_000;
  pass(1000);
  expect(stamp()).toBe(at.wall);
  at.wall += 86_400_000;
  pass(1000);
  expect(stamp()).toBe(at.wall);
  expect(jumps).toEqual([]);
});

test("a clock that others say is far off is corrected at once, ahead or behind, and guarded from then on", () => {
  for (const wrong of [86_400_000, -50 * 365 * 86_400_000]) {
    const right = 1_700_000_000_000;
    const at = { wall: right + wrong, elapsed: 0, off: 0 };
    const clock = { nowMs: () => at.wall, elapsedMs: () => at.elapsed, offMs: () => at.off };
    const stamp = stampClock(clock);
    at.off = -wrong;
    expect(stamp()).toBe(right);
    at.wall += 60_000 + 3_600_000;
    at.elapsed += 60_000;
    expect(stamp()).toBe(right + 60_000);
  }
});

test("while nobody can tell what time it is, stamps go on from the time of the log", () => {
  const at: { wall: number; elapsed: number; off: number | undefined; last: number } = {
    wall: 2_000_000_000_000,
    elapsed: 0,
    off: undefined,
    last: 1_700_000_000_000,
  };
  const stamp = stampClock({
    nowMs: () => at.wall,
    elapsedMs: () => at.elapsed,
    offMs: () => at.off,
    lastMs: () => at.last,
  });
  expect(stamp()).toBe(1_700_000_000_000);
  at.elapsed += 3_000;
  at.last += 2_900;
  expect(stamp()).toBe(1_700_000_003_000);
  at.off = 0;
  expect(stamp()).toBe(at.wall);
});

test("how far a clock is off is the median of three and more, in whole steps, and what was known holds while fewer are heard", () => {
  const day = 86_400_000;
  const asked = (skewsMs: number[], askingMs = 0, count = 3) => ({ count, skewsMs, askingMs });
  const off = new ClockOff();
  expect(off.of(asked([]))).toBeUndefined();
  expect(off.of(asked([-day], 60_000))).toBeUndefined();
  expect(off.of(asked([-59_000]))).toBe(0);
  expect(off.of(asked([], 11_000))).toBe(0);
  expect(off.of(asked([-day], 0, 2))).toBe(0);
  expect(off.of(asked([-59_000, -59_500]))).toBe(0);
  // One wrong clock of another voter is not ours.
  expect(off.of(asked([0, -day]))).toBe(0);
  expect(off.of(asked([-day, -day]))).toBe(-day);
  expect(off.of(asked([-day + 3_000, -day + 4_000]))).toBe(-day);
  expect(off.of(asked([-day]))).toBe(-day);
  expect(off.of(asked([2_000, 1_000]))).toBe(0);
});
