// Waiting between tries: always the same time, or twice as long after each failure, with a random share.

import { pause } from "./pause.ts";

/** How long to wait after failures in a row. */
export interface BackoffOptions {
  /** Wait after the first failure. */
  firstMs: number;
  /** Longest wait; left out, every wait is `firstMs`. */
  lastMs?: number;
  /** Share of a wait that is random: with 0.5 it is between 75 % and 125 %. */
  jitter?: number;
  /** For tests, in place of Math.random. */
  random?: () => number;
}

/** Returns the wait after that many failures in a row, at least one, in ms. */
export function backoffMs(
  failures: number,
  { firstMs, lastMs = firstMs, jitter = 0, random = Math.random }: BackoffOptions,
): number {
  return Math.min(firstMs * 2 ** (failures - 1), lastMs) * (1 - jitter / 2 + jitter * random());
}

/** The waits of one loop. */
export class Backoff {
  readonly #options: BackoffOptions;
  readonly #pause: typeof pause;
  #failures = 0;

  /** `pauseFor` is for tests, in place of a real wait. */
  constructor(options: BackoffOptions, pauseFor: typeof pause = pause) {
    this.#options = options;
    this.#pause = pauseFor;
  }

  /** Counts a failure and waits; rejects with the signal's reason as soon as it aborts. */
  wait(signal?: AbortSignal): Promise<void> {
    this.#failures += 1;
    return this.#pause(backoffMs(this.#failures, this.#options), signal);
  }

  /** Forgets the failures: the next wait is the shortest again. */
  reset(): void {
    this.#failures = 0;
  }
}

export interface RetryOptions extends BackoffOptions {
  /** Calls at most; left out, until one succeeds, fails for good or the signal aborts. */
  tries?: number;
  /** Reports whether the same call may succeed later. */
  mayRetry: (error: unknown) => boolean;
  signal?: AbortSignal;
  /** For tests, in place of a real wait. */
  pauseFor?: typeof pause;
}

/** Calls `body` until it succeeds and returns its result; throws the error that is final, or the signal's reason. */
export async function retry<T>(body: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { tries = Number.POSITIVE_INFINITY, mayRetry, signal, pauseFor } = options;
  const backoff = new Backoff(options, pauseFor);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await body();
    } catch (error) {
      if (attempt >= tries || !mayRetry(error)) throw error;
      await backoff.wait(signal);
    }
  }
}
