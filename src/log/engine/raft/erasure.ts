// Takes the texts that a purge removed off this member's disk (security.md 23): out of the store's files, then out of
// the raft log. What is left to do is in the table `meta`, written with the purge, so a crash forgets nothing.

import { reasonOf } from "../../../lib/reason-of.ts";
import type { Store } from "../../../store/store.ts";
import { readMeta, writeMeta } from "../../meta.ts";
import { purgeState } from "../../purge-state.ts";

const EVERY_MS = 500;
/** How long the Go half may take. Rewriting the log takes as long as copying what it keeps. */
const ANSWER_MS = 10 * 60_000;

export interface ErasureOptions {
  store: Store;
  /** Asks the Go half; the answer comes by `answered`. */
  ask: (index: number) => void;
  /** Reports whether the entries up to an index may go now: no member that responds needs them. Default: they may. */
  mayErase?: (index: number) => boolean;
  /** Called with the reason why a purged text is still on the disk, once for each reason. */
  onErasureDelay?: (reason: string) => void;
}

/** The erasures of one member, from `start` to `stop`. */
export class Erasure {
  readonly #options: ErasureOptions;
  #timer: ReturnType<typeof setInterval> | undefined;
  #isRunning = false;
  #waiting: { index: number; done: PromiseWithResolvers<string> } | undefined;
  #lastReason = "";

  constructor(options: ErasureOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.#tick(), EVERY_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#waiting?.done.resolve("the node stops");
  }

  /** Takes the answer of the Go half: "" where it is done. */
  answered(index: number, reason: string): void {
    if (this.#waiting?.index === index) this.#waiting.done.resolve(reason);
  }

  async #tick(): Promise<void> {
    const { store, mayErase = () => true } = this.#options;
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      const { purged, erased } = purgeState(store.reader);
      const index = readMeta(store.reader, "purged_index") ?? 0;
      if (erased >= purged || !mayErase(index)) return;
      const reason = (await store.erase()) ? await this.#askLog(index) : "another process reads the store";
      // A purge that came meanwhile is still to do: only the one that this run was about is noted.
      if (reason === "") store.transaction((tx) => writeMeta(tx, { erased_seq: purged }));
      this.#report(reason);
    } catch (error) {
      this.#report(reasonOf(error));
    } finally {
      this.#isRunning = false;
    }
  }

  async #askLog(index: number): Promise<string> {
    const done = Promise.withResolvers<string>();
    const late = setTimeout(() => done.resolve("the Go half does not answer"), ANSWER_MS);
    this.#waiting = { index, done };
    try {
      this.#options.ask(index);
      return await done.promise;
    } finally {
      clearTimeout(late);
      this.#waiting = undefined;
    }
  }

  /** Reports each reason once: the next tick tries again. */
  #report(reason: string): void {
    if (reason !== "" && reason !== this.#lastReason) this.#options.onErasureDelay?.(reason);
    this.#lastReason = reason;
  }
}
