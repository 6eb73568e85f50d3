// Takes the texts that a purge removed off this member's disk (security.md 23): out of the store's files, then out of
// the raft log. What is left to do is in the table `meta`, written with the purge, so a crash forgets nothing.

import { pause } from "../../../lib/pause.ts";
import { reasonOf } from "../../../lib/reason-of.ts";
import type { Store } from "../../../store/store.ts";
import { erasePurged } from "../../erase-purged.ts";
import { readMeta } from "../../meta.ts";
import { purgeState } from "../../purge-state.ts";

/** Between two attempts while something is left to do. */
const RETRY_MS = 500;
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
  readonly #stop = new AbortController();
  #isStarted = false;
  #isRunning = false;
  #waiting: { index: number; done: PromiseWithResolvers<string> } | undefined;
  #lastReason = "";

  constructor(options: ErasureOptions) {
    this.#options = options;
  }

  /** From now on the Go half can be asked. */
  start(): void {
    this.#isStarted = true;
    this.begin();
  }

  /** Erases until nothing is left to do. Call it after a purge, and after an install. */
  begin(): void {
    if (this.#isStarted && !this.#isRunning) void this.#run();
  }

  stop(): void {
    this.#stop.abort();
    this.#waiting?.done.resolve("the node stops");
  }

  /** Takes the answer of the Go half: "" where it is done. */
  answered(index: number, reason: string): void {
    if (this.#waiting?.index === index) this.#waiting.done.resolve(reason);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    this.#isRunning = true;
    try {
      while (!signal.aborted && this.#isPending()) {
        this.#report(await this.#erase());
        if (this.#isPending()) await pause(RETRY_MS, signal);
      }
    } catch (error) {
      // Stopped, or the store cannot be read: the next start continues.
      this.#report(reasonOf(error));
    } finally {
      this.#isRunning = false;
    }
  }

  #isPending(): boolean {
    const { purged, erased } = purgeState(this.#options.store.reader);
    return erased < purged;
  }

  async #erase(): Promise<string> {
    const { store, mayErase = () => true } = this.#options;
    const index = readMeta(store.reader, "purged_index") ?? 0;
    return mayErase(index) ? erasePurged(store, () => this.#askLog(index)) : "";
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

  /** Reports each reason once: the next attempt follows. */
  #report(reason: string): void {
    if (this.#stop.signal.aborted) return;
    if (reason !== "" && reason !== this.#lastReason) this.#options.onErasureDelay?.(reason);
    this.#lastReason = reason;
  }
}
