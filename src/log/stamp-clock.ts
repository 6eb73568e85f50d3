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
  /** Reports whether a jump is right after all, so that the wall clock is followed again. Left out: it never is. */
  isConfirmed?: (jump: ClockJump) => boolean;
}

/** A wall clock that is ahead of elapsed time. */
export interface ClockJump {
  /** The time by elapsed time, in ms since 1970. */
  expectedMs: number;
  /** For how long, in ms of elapsed time, the clock has been ahead by the same amount. */
  stableMs: number;
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
  isConfirmed = () => false,
}: StampClockOptions): () => number {
  let off: number | undefined = 0;
  let wallThen = nowMs();
  let elapsedThen = elapsedMs();
  let jump: { aheadMs: number; sinceMs: number } | undefined;
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
      if (jump === undefined) onJump(ahead);
      if (jump === undefined || Math.abs(ahead - jump.aheadMs) > TOLERATED_MS)
        jump = { aheadMs: ahead, sinceMs: elapsed };
      if (!isConfirmed({ expectedMs: expected, stableMs: elapsed - jump.sinceMs })) return Math.floor(expected);
    }
    if (jump !== undefined) onJump(0);
    jump = undefined;
    // Small differences are corrections of the clock. A large step back may be undone, and must not look like a jump
    // then.
    if (ahead >= -TOLERATED_MS) {
      wallThen = wall;
      elapsedThen = elapsed;
    }
    return Math.floor(wall);
  };
}
