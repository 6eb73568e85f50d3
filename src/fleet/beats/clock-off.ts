// How far this node's wall clock is off that of its fleet's voters (replication.md 7), for the stamps of a leader: one wrong clock must not move the time of all.

import { MAX_SKEW_MS, medianOf } from "../lead/handover.ts";

/** A change smaller than this is no reason to correct anew. */
const STEP_MS = 5_000;
/** Two clocks cannot tell which of them is wrong. */
const MIN_CLOCKS = 3;

export class ClockOff {
  #offMs = 0;

  /** Ms to add to the wall clock; 0 while it is not more than a minute off the voters' median. `skewsMs` are those of the other voters that are heard; with too few of them what was known before still holds. */
  of(skewsMs: readonly number[]): number {
    if (skewsMs.length + 1 < MIN_CLOCKS) return this.#offMs;
    const median = medianOf([0, ...skewsMs]);
    if (Math.abs(median) <= MAX_SKEW_MS) this.#offMs = 0;
    else if (Math.abs(median - this.#offMs) > STEP_MS) this.#offMs = median;
    return this.#offMs;
  }
}
