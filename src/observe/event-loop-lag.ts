// Measures how late the event loop runs its timers: the worst delay of the last ten seconds.

const INTERVAL_MS = 500;
/** Ten seconds. */
const MAX_SAMPLES = 20;

/** Measures from its creation until `stop`. */
export class EventLoopLag {
  readonly #delaysMs: number[] = [];
  readonly #timer: ReturnType<typeof setInterval>;
  #dueMs = performance.now() + INTERVAL_MS;

  constructor() {
    this.#timer = setInterval(() => this.#measure(), INTERVAL_MS);
    this.#timer.unref();
  }

  /** Returns the worst delay of the last ten seconds, in seconds. */
  seconds(): number {
    return Math.max(0, ...this.#delaysMs) / 1000;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #measure(): void {
    const now = performance.now();
    this.#delaysMs.push(Math.max(0, now - this.#dueMs));
    if (this.#delaysMs.length > MAX_SAMPLES) this.#delaysMs.shift();
    this.#dueMs = now + INTERVAL_MS;
  }
}
