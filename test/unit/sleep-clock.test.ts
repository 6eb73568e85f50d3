// Elapsed time that counts sleep.

import { expect, test } from "bun:test";
import { continuousClock } from "../../src/lib/continuous-clock.ts";
import { openSleepClock, wallCheckedClock } from "../../src/lib/sleep-clock.ts";

test("the clock of this machine goes on and never back, and clocks of one process agree", async () => {
  const clock = openSleepClock();
  const first = clock.nowMs();
  await Bun.sleep(60);
  const passed = clock.nowMs() - first;
  expect(passed).toBeGreaterThanOrEqual(60 - clock.stepMs);
  expect(passed).toBeLessThan(5000);
  const other = openSleepClock();
  expect(other.since).toBe(clock.since);
  if (clock.since !== "") expect(other.nowMs() - clock.nowMs()).toBeLessThan(5000);
});

test("without a clock that counts sleep, a jump of the wall clock is time that passed, a step back is nothing", () => {
  let monotonic = 1000;
  let wall = 500_000;
  const clock = wallCheckedClock(
    () => monotonic,
    () => wall,
  );
  const at = clock.nowMs();
  monotonic += 100;
  wall += 101;
  expect(clock.nowMs() - at).toBe(100);
  wall += 60_000;
  expect(clock.nowMs() - at).toBeGreaterThanOrEqual(60_000);
  const awake = clock.nowMs();
  wall -= 3_600_000;
  monotonic += 10;
  wall += 10;
  expect(clock.nowMs() - awake).toBe(10);
  wall += 1000;
  expect(clock.nowMs() - awake).toBeGreaterThanOrEqual(1010);
});

/** A Mac whose clocks are set by hand, in ms. */
function mac(isLoaded: boolean) {
  const at = { continuous: 5_000_000, monotonic: 1000, wall: 1_700_000_000_000 };
  const clock = openSleepClock({
    platform: "darwin",
    continuous: () => (isLoaded ? () => at.continuous : undefined),
    monotonicMs: () => at.monotonic,
    wallMs: () => at.wall,
  });
  const pass = (awakeMs: number, asleepMs = 0) => {
    at.monotonic += awakeMs;
    at.continuous += awakeMs + asleepMs;
    at.wall += awakeMs + asleepMs;
  };
  return { at, clock, pass };
}

test("on macOS sleep counts, and a wall clock that is set ahead or back is no time that passed", () => {
  const { at, clock, pass } = mac(true);
  const first = clock.nowMs();
  pass(100);
  at.wall += 3_600_000;
  expect(clock.nowMs() - first).toBe(100);
  pass(50, 60_000);
  expect(clock.nowMs() - first).toBe(60_150);
  at.wall -= 7_200_000;
  pass(10);
  expect(clock.nowMs() - first).toBe(60_160);
  at.continuous -= 5;
  expect(clock.nowMs() - first).toBe(60_160);
  expect({ since: clock.since, stepMs: clock.stepMs }).toEqual({ since: "", stepMs: 1 });
});

test("on macOS without that clock the wall clock tells of sleep, as before", () => {
  const { at, clock, pass } = mac(false);
  const first = clock.nowMs();
  pass(100, 60_000);
  expect(clock.nowMs() - first).toBe(60_100);
  at.wall += 3_600_000;
  expect(clock.nowMs() - first).toBe(3_660_100);
});

test("the continuous clock of macOS is CLOCK_MONOTONIC_RAW in ns, and none where it cannot be called or says 0", () => {
  const asked: unknown[] = [];
  const clock = (ns: bigint) =>
    continuousClock((path) => {
      asked.push(path);
      const read = (id: number) => {
        asked.push(id);
        return ns;
      };
      return { symbols: { clock_gettime_nsec_np: read } };
    });
  // More than a double counts in ns.
  expect(clock(9_007_199_254_740_993n)?.()).toBeCloseTo(9_007_199_254.741, 2);
  expect(asked).toEqual(["/usr/lib/libSystem.B.dylib", 4, 4]);
  expect(clock(1_500_000n)?.()).toBe(1.5);
  expect(clock(0n)).toBeUndefined();
  const refused = continuousClock(() => {
    throw new Error("library load disallowed by system policy");
  });
  expect(refused).toBeUndefined();
});
