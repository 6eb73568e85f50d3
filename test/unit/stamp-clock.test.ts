// Times that a leader stamps: the wall clock, as long as it does not run ahead of the time that went by.

import { expect, test } from "bun:test";
import { mkdtempSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClockOff, isJumpConfirmed } from "../../src/fleet/index.ts";
import { lastClockSyncMs } from "../../src/lib/clock-sync.ts";
import { type ClockJump, stampClock } from "../../src/log/stamp-clock.ts";

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

test("while no one can tell what time it is, stamps go on from the time of the log", () => {
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

test("a jump is followed once it is confirmed, and guarded against the next one from then on", () => {
  const at = { wall: 60_000, elapsed: 0 };
  const asked: ClockJump[] = [];
  const jumps: number[] = [];
  let right = false;
  const stamp = stampClock({
    nowMs: () => at.wall,
    elapsedMs: () => at.elapsed,
    onJump: (aheadMs) => jumps.push(aheadMs),
    isConfirmed: (jump) => {
      asked.push(jump);
      return right;
    },
  });
  const pass = (ms: number) => {
    at.wall += ms;
    at.elapsed += ms;
  };
  expect(stamp()).toBe(60_000);
  // A machine that started in 1970 is set right.
  const year = 1_700_000_000_000;
  at.wall += year;
  for (const seconds of [1, 9]) {
    pass(seconds * 1000);
    expect(stamp()).toBe(60_000 + at.elapsed);
  }
  // Set once more: what was stable begins again.
  at.wall += 3_600_000;
  pass(5_000);
  stamp();
  pass(2_000);
  stamp();
  expect(asked.map(({ stableMs }) => stableMs)).toEqual([0, 9_000, 0, 2_000]);
  expect(asked.at(-1)?.expectedMs).toBe(60_000 + at.elapsed);
  right = true;
  expect(stamp()).toBe(at.wall);
  expect(jumps).toEqual([year, 0]);
  right = false;
  const before = at.wall;
  at.wall += 86_400_000;
  expect(stamp()).toBe(before);
  expect(jumps.at(-1)).toBe(86_400_000);
});

test("the time service, two other clocks, or ten minutes alone confirm a jump", () => {
  const jump = (stableMs: number) => ({ expectedMs: 1_000_000, stableMs });
  const alone = { count: 1, skewsMs: [] };
  expect(isJumpConfirmed(jump(599_999), alone, undefined)).toBe(false);
  expect(isJumpConfirmed(jump(600_000), alone, undefined)).toBe(true);
  expect(isJumpConfirmed(jump(600_000), { count: 2, skewsMs: [-86_400_000] }, undefined)).toBe(true);
  // Set by the service after the jump; before it, as far as elapsed time says.
  expect(isJumpConfirmed(jump(0), alone, 1_005_001)).toBe(true);
  expect(isJumpConfirmed(jump(0), alone, 1_005_000)).toBe(false);
  const three = (...skewsMs: number[]) => ({ count: 3, skewsMs });
  expect(isJumpConfirmed(jump(30_000), three(5_000, -5_000), undefined)).toBe(true);
  // As measured before the jump.
  expect(isJumpConfirmed(jump(29_999), three(0, 0), undefined)).toBe(false);
  for (const skewsMs of [[0], [0, 5_001], [-86_400_000, -86_400_000]])
    expect(isJumpConfirmed(jump(86_400_000), three(...skewsMs), undefined)).toBe(false);
});

test("when the time service set the clock is the time of its mark", () => {
  const mark = join(mkdtempSync(join(tmpdir(), "cairn-sync-")), "synchronized");
  expect(lastClockSyncMs(mark)).toBeUndefined();
  writeFileSync(mark, "");
  utimesSync(mark, 1_700_000_000, 1_700_000_000);
  expect(lastClockSyncMs(mark)).toBe(1_700_000_000_000);
});
