// The rate of a replay: how long its next event waits.

/** When one queue may send again. */
export class Pace {
  #nextMs = 0;

  /** Waits until the next event may be sent, and counts it. `rate`: events a second; 0: no bound. */
  async pass(rate: number, nowMs: number, pause: (ms: number) => Promise<void>): Promise<void> {
    if (rate === 0) return;
    // Not longer than between two events, whatever the clock did.
    this.#nextMs = Math.min(Math.max(nowMs, this.#nextMs), nowMs + 1000 / rate);
    const wait = this.#nextMs - nowMs;
    this.#nextMs += 1000 / rate;
    if (wait > 0) await pause(wait);
  }
}
