// Delays writes on a new leader until it has applied everything from before its term. Limits and idempotency keys are
// read from the state, so an older state would give wrong ones (replication.md 10).

import type { Log } from "../log/log.ts";

/** Knows since when this node leads with a state that misses nothing. */
export class CaughtUp {
  readonly #log: Log;
  /** Aborts when the duties of this node's leadership end. */
  #leading: AbortSignal = AbortSignal.abort();
  #waiting: PromiseWithResolvers<void> | undefined;

  constructor(log: Log) {
    this.#log = log;
    log.onLeading(({ signal }) => {
      this.#leading = signal;
      this.#wake();
    });
    log.onLeadership(({ leading }) => {
      if (!leading) this.#wake();
    });
  }

  /**
   * Resolves once that is so, this node no longer leads, or `withinMs` is over. Rejects with the reason of the signal.
   * Undefined where there is nothing to wait for.
   */
  wait(signal: AbortSignal, withinMs: number): Promise<void> | undefined {
    if (!this.#leading.aborted || !this.#log.leadership().leading) return undefined;
    this.#waiting ??= Promise.withResolvers<void>();
    return this.#until(this.#waiting.promise, signal, withinMs);
  }

  async #until(caughtUp: Promise<void>, signal: AbortSignal, withinMs: number): Promise<void> {
    const left = Promise.withResolvers<void>();
    const leave = () => left.resolve();
    signal.addEventListener("abort", leave, { once: true });
    const late = setTimeout(leave, withinMs);
    try {
      await Promise.race([caughtUp, left.promise]);
    } finally {
      clearTimeout(late);
      signal.removeEventListener("abort", leave);
    }
    signal.throwIfAborted();
  }

  #wake(): void {
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }
}
