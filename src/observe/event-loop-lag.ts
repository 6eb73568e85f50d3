// How late the event loop is: the worst of the last ten seconds, measured by a timer of its own.

const STEP_MS = 500;
const KEPT = 20;

/** Measures until it is stopped. */
export class EventLoopLag {
  readonly #late: number[] = [];
  readonly #timer: ReturnType<typeof setInterval>;
  #dueMs = performance.now() + STEP_MS;

  constructor() {
    this.#timer = setInterval(() => this.#measure(), STEP_MS);
    this.#timer.unref();
  }

  /** The worst lag of the last ten seconds, in seconds. */
  seconds(): number {
    return Math.max(0, ...this.#late) / 1000;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #measure(): void {
    const now = performance.now();
    this.#late.push(Math.max(0, now - this.#dueMs));
    if (this.#late.length > KEPT) this.#late.shift();
    this.#dueMs = now + STEP_MS;
  }
}
