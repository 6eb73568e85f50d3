// Elapsed time that counts sleep.

import { expect, test } from "bun:test";
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
