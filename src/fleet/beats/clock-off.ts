// How far this node's wall clock is off the clocks of its fleet's voters (replication.md 7). A leader corrects its
// stamps by it, so that one wrong clock does not move log time.

import { MAX_SKEW_MS, medianOf } from "../lead/handover.ts";

/** A smaller change does not change the correction. */
const STEP_MS = 5_000;
/** Of two clocks the wrong one cannot be known. */
const MIN_CLOCKS = 3;
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
