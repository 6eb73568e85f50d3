// The time that a leader stamps on entries (replication.md 7): the wall clock, unless it jumps ahead of elapsed time.
// Without that guard, one wrongly set clock would expire everything for every member.

import { openSleepClock } from "../lib/sleep-clock.ts";

/** How far the wall clock may run ahead of elapsed time. */
const TOLERATED_MS = 5_000;

export interface StampClockOptions {
  /** Wall clock in ms. */
  nowMs: () => number;
  /** Elapsed ms, sleep included, whatever the wall clock says. */
  elapsedMs?: () => number;
  /** Called with how far the wall clock is ahead, in ms, when it is no longer followed, and with 0 when it is again. */
  onJump?: (aheadMs: number) => void;
  /**
   * Correction of the wall clock in ms, where other members know the time better. A new value applies at once.
   * Undefined while it is not known; stamps then continue from `lastMs` by elapsed time.
   */
  offMs?: () => number | undefined;
  /** Log time of the state. */
  lastMs?: () => number;
}

/**
 * Returns a function that returns the next stamp in whole ms. A clock that went back and is right again is followed at
 * once; log time itself never goes back, because apply takes the maximum.
 */
export function stampClock({
  nowMs,
  elapsedMs = openSleepClock().nowMs,
  onJump = () => {},
  offMs = () => 0,
  lastMs = () => 0,
}: StampClockOptions): () => number {
  let off: number | undefined = 0;
  let wallThen = nowMs();
  let elapsedThen = elapsedMs();
  let jumped = false;
  return () => {
    const elapsed = elapsedMs();
    const offNow = offMs();
    if (offNow !== off) {
      off = offNow;
      wallThen = off === undefined ? lastMs() : nowMs() + off;
      elapsedThen = elapsed;
    }
    const expected = wallThen + elapsed - elapsedThen;
    if (off === undefined) return Math.floor(expected);
    const wall = nowMs() + off;
    const ahead = wall - expected;
    if (ahead > TOLERATED_MS) {
      if (!jumped) onJump(ahead);
      jumped = true;
      return Math.floor(expected);
    }
    if (jumped) onJump(0);
    jumped = false;
    // Small differences are corrections of the clock. A large step back may be undone, and must not look like a jump
    // then.
    if (ahead >= -TOLERATED_MS) {
      wallThen = wall;
      elapsedThen = elapsed;
    }
    return Math.floor(wall);
  };
}
