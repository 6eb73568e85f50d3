// The rate of a replay: how long its next event waits.

/** When one queue may send again. */
export class Pace {
  #nextMs = 0;

  /** Returns how long the next event waits, in ms, and counts it as sent then. `rate`: events a second; 0: no bound. */
  waitMs(rate: number, nowMs: number): number {
    if (rate === 0) return 0;
    // Not longer than between two events, whatever the clock did.
    this.#nextMs = Math.min(Math.max(nowMs, this.#nextMs), nowMs + 1000 / rate);
    const wait = this.#nextMs - nowMs;
    this.#nextMs += 1000 / rate;
    return Math.max(0, wait);
  }
}
