// What rules spend on one event, so that all rules of a subscription together keep a node for a short time, and not
// each of them. Units are counted, never timed: the same event then has the same verdict on every node. A unit is about
// a nanosecond.

import { RuleFailure } from "./failure.ts";

/** Most units on one event. */
export const MAX_EFFORT = 100_000_000;

/** The work on one event. */
export class Effort {
  #spent = 0;

  /** Units that were spent. */
  get spent(): number {
    return this.#spent;
  }

  /** Units that are left. */
  get left(): number {
    return Math.max(0, MAX_EFFORT - this.#spent);
  }

  /** Counts units that are about to be spent. Throws `RuleFailure` where they are more than are left. */
  spend(units: number): void {
    this.#spent = Math.min(this.#spent + units, MAX_EFFORT + 1);
    if (this.#spent > MAX_EFFORT) throw new RuleFailure("the rules take too long on this event");
  }
}
