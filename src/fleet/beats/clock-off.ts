// How far this node's wall clock is off that of its fleet's voters (replication.md 7), for the stamps of a leader: one wrong clock must not move the time of all.

import { MAX_SKEW_MS, medianOf } from "../lead/handover.ts";

/** A change smaller than this is no reason to correct anew. */
const STEP_MS = 5_000;
/** Two clocks cannot tell which of them is wrong. */
const MIN_CLOCKS = 3;
/** Beats come each second: who has heard nobody for so long since its start has only its own clock. */
const PATIENCE_MS = 10_000;

export interface Clocks {
  /** How many clocks the fleet's centrals have, this node's included. */
  count: number;
  /** Those of the others that are heard, against this node's, in ms. */
  skewsMs: readonly number[];
  /** Since this node began to ask. */
  askingMs: number;
}

export class ClockOff {
  #offMs: number | undefined;

  /** Ms to add to the wall clock: 0 while it is not more than a minute off the median. Undefined while nobody can tell: shortly after a start, and where only two are heard and differ. With too few of them what was known before still holds. */
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
