// The loop of a worker of a full member: it looks at its own store after each applied batch, and in between at most so
// often.

import { pause } from "../lib/pause.ts";
import type { Log } from "../log/log.ts";

/** Changes that come close together are looked at once, in ms. */
const GATHER_MS = 50;

/** What the loop needs of its worker. */
export interface HeadLoopOptions {
  log: () => Pick<Log, "changes" | "onLeadership">;
  /** Longest time between two looks, in ms; also the pause after a failure. */
  lookMs: number;
  /** Looks, and does what is due. */
  look: (signal: AbortSignal) => Promise<void>;
  /** Another node leads, or this one does. The next look follows. */
  onLeader: () => void;
  onFailure: (error: unknown) => void;
}

/** Looks again and again. */
export class HeadLoop {
  readonly #options: HeadLoopOptions;
  #wake = Promise.withResolvers<void>();

  constructor(options: HeadLoopOptions) {
    this.#options = options;
  }

  /** Makes the next look come soon. */
  wake(): void {
    this.#wake.resolve();
  }

  /** Runs until the signal aborts or the log ends. */
  async run(signal: AbortSignal): Promise<void> {
    const { log, look, lookMs, onLeader, onFailure } = this.#options;
    const { changes } = log();
    const news = (): void => {
      onLeader();
      this.wake();
    };
    const off = [changes.onHead(() => this.wake()), log().onLeadership(news)];
    try {
      while (!signal.aborted && !changes.ended) {
        // Also before the first look: the node is not whole yet while its parts are started.
        await this.#pause(signal);
        if (signal.aborted) return;
        try {
          await look(signal);
        } catch (error) {
          if (!signal.aborted) onFailure(error);
          await pause(lookMs, signal).catch(() => {});
        }
      }
    } finally {
      for (const stop of off) stop();
    }
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const done = new AbortController();
    const both = AbortSignal.any([signal, done.signal]);
    await Promise.race([this.#wake.promise, pause(this.#options.lookMs, both).catch(() => {})]);
    done.abort();
    this.#wake = Promise.withResolvers<void>();
    await pause(GATHER_MS, signal).catch(() => {});
  }
}
