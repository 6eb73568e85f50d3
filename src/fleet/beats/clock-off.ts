// How far this node's wall clock is off the clocks of its fleet's voters (replication.md 7). A leader corrects its
// stamps by it, so that one wrong clock does not move log time.

import { MAX_SKEW_MS, medianOf } from "../lead/handover.ts";

/** A smaller change does not change the correction. */
const STEP_MS = 5_000;
/** Of two clocks the wrong one cannot be known. */
const MIN_CLOCKS = 3;
/** After this long no skew is left that was measured before a jump of this node's clock. */
const MEASURED_AGAIN_MS = 30_000;
/** A jump that no other clock can judge is followed after this long without another one. */
const STABLE_MS = 600_000;
/** Beats come each second: without any beat for this long after its start, a node has only its own clock. */
const PATIENCE_MS = 10_000;

export interface Clocks {
  /** The number of clocks of the fleet's centrals, this node's included. */
  count: number;
  /** The reachable ones of the others, against this node's, in ms. */
  skewsMs: readonly number[];
  /** Ms since this node began to send beats. */
  askingMs: number;
}

/** Of a node without a fleet. */
export const NO_CLOCKS: Clocks = { count: 0, skewsMs: [], askingMs: 0 };

export class ClockOff {
  #offMs: number | undefined;

  /**
   * Returns the ms to add to the wall clock: 0 while it is at most a minute off the median. Undefined while it cannot
   * be known: shortly after a start, and where only two clocks are known and differ. With too few clocks the earlier
   * correction holds.
   */
  of({ count, skewsMs, askingMs }: Clocks): number | undefined {
    if (count < MIN_CLOCKS) return 0;
    if (skewsMs.length + 1 >= MIN_CLOCKS) {
      const median = medianOf([0, ...skewsMs]);
      if (Math.abs(median) <= MAX_SKEW_MS) this.#offMs = 0;
      else if (this.#offMs === undefined || Math.abs(median - this.#offMs) > STEP_MS) this.#offMs = median;
    }
    if (this.#offMs !== undefined) return this.#offMs;
    const [only] = skewsMs;
    if (only !== undefined) return Math.abs(only) <= MAX_SKEW_MS ? 0 : undefined;
    return askingMs < PATIENCE_MS ? undefined : 0;
  }
}

/**
 * Reports whether a jump ahead of this node's clock is right (replication.md 7): the machine's time service has set the
 * clock since (`syncedMs`: when it did so last, by that clock; undefined: unknown), two other centrals have the same
 * time, or in a fleet of one or two the clock has run on for ten minutes.
 *
 * @param expectedMs the time by elapsed time; a service that set the clock before the jump did so earlier than that
 * @param stableMs for how long the clock has been ahead by the same amount
 */
export function isJumpConfirmed(
  { expectedMs, stableMs }: { expectedMs: number; stableMs: number },
  { count, skewsMs }: Pick<Clocks, "count" | "skewsMs">,
  syncedMs: number | undefined,
): boolean {
  if (syncedMs !== undefined && syncedMs > expectedMs + STEP_MS) return true;
  if (count < MIN_CLOCKS) return stableMs >= STABLE_MS;
  return stableMs >= MEASURED_AGAIN_MS && skewsMs.filter((skewMs) => Math.abs(skewMs) <= STEP_MS).length >= 2;
}
