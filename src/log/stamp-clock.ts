// The time that a leader stamps on entries (replication.md 7): the wall clock, unless that jumps ahead of the time that really went by. What expires would else expire for everyone because one clock was set wrong.

import { openSleepClock } from "../lib/sleep-clock.ts";

/** How far the wall clock may run ahead of elapsed time. */
const TOLERATED_MS = 5_000;

export interface StampClockOptions {
  /** Wall clock in ms. */
  nowMs: () => number;
  /** Ms that went by, sleep included, whatever the wall clock says. */
  elapsedMs?: () => number;
  /** Called when the wall clock is not followed any more (with how far it is ahead, in ms), and with 0 when it is again. */
  onJump?: (aheadMs: number) => void;
  /** Ms to add to the wall clock, where others know better what time it is; another value is followed at once, whatever time went by. Undefined while nobody can tell: then stamps go on from `lastMs` by the time that goes by. */
  offMs?: () => number | undefined;
  /** Log time of the state. */
  lastMs?: () => number;
}

/** Answers stamps in whole ms of wall time. A clock that is right again after it went back is followed at once; log time itself never goes back (apply sees to it). */
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
    // Small differences are the clock being trimmed; a large step back may be undone, and then must not look like a jump.
    if (ahead >= -TOLERATED_MS) {
      wallThen = wall;
      elapsedThen = elapsed;
    }
    return Math.floor(wall);
  };
}
