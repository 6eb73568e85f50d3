// How long ago an edge could last learn that a caller lost its rights: rights come from the control server, and the
// list of members from full nodes. While both are away, no right can be taken back (security.md 7).

import type { Freshness } from "./freshness.ts";

/** How often the control server is asked about, in ms. */
const LOOK_MS = 5_000;

export interface RightsAgeOptions {
  freshness: Freshness;
  /** Reports whether the control server answers now. */
  controlAnswers: () => boolean;
  /** Longest time without both, in ms. */
  maxStaleMs: number;
}

/** The age of what an edge knows of rights. */
export class RightsAge {
  readonly #options: RightsAgeOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  #answeredMs = Number.NEGATIVE_INFINITY;

  constructor(options: RightsAgeOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  /** Reports whether rights are new enough to serve anyone without asking a full node. */
  areKnown(): boolean {
    this.#look();
    const { freshness, maxStaleMs } = this.#options;
    const newestMs = Math.max(this.#answeredMs, freshness.provenMs);
    return freshness.ageOf(newestMs) <= maxStaleMs;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { freshness, controlAnswers } = this.#options;
    if (controlAnswers()) this.#answeredMs = freshness.nowMs();
  }
}
