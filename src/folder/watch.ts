// Keeps a folder and its contexts the same until it is ended: a pass whenever files or contexts have changed, once they
// have been quiet for a moment. Events only say when to look: a pass now and then finds what none of them has said.

import { type FSWatcher, watch } from "node:fs";
import { FAULTS, Fault } from "../lib/fault.ts";
import { pause } from "../lib/pause.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { Backoff } from "../lib/retry.ts";
import type { Report } from "./report.ts";
import type { FolderSync } from "./sync.ts";

/** Files and contexts are looked at once no event has come for so long, or events have come for too long. */
const QUIET_MS = 300;
const MAX_BUSY_MS = 3000;
/** Between two passes without an event, in ms: with events of the disk, and without. */
const LOOK_MS = 30_000;
const LOOK_WITHOUT_EVENTS_MS = 3000;
/** Between two lists of all contexts. */
const LIST_ALL_MS = 600_000;
const AGAIN = { firstMs: 500, lastMs: 15_000, jitter: 0.5 };
/** Ids that are looked at one by one; of more, all contexts are listed. */
const MAX_IDS = 200;

/** What a watch needs. */
export interface WatchOptions {
  root: string;
  sync: FolderSync;
  /** Yields the ids of contexts as they change, from before the first pass on, until the signal aborts. */
  changes(): AsyncIterable<string>;
  signal: AbortSignal;
  onReport(report: Report): Promise<void> | void;
  /** Says what is wrong for now. */
  onTrouble(text: string): void;
}

/** What has changed since the last pass. */
class Pending {
  #ids = new Set<string>();
  #all = true;
  #wake = Promise.withResolvers<void>();
  /** Events so far. */
  events = 0;

  /** Resolves with the next event. */
  get next(): Promise<void> {
    return this.#wake.promise;
  }

  add(id: string | undefined): void {
    this.events += 1;
    if (id !== undefined && !this.#all) this.#ids.add(id);
    if (this.#ids.size > MAX_IDS) this.addAll();
    this.#wake.resolve();
  }

  addAll(): void {
    this.#all = true;
    this.#ids.clear();
    this.#wake.resolve();
  }

  take(): Set<string> | "all" {
    const taken = this.#all ? ("all" as const) : this.#ids;
    this.#all = false;
    this.#ids = new Set();
    this.#wake = Promise.withResolvers();
    return taken;
  }
}

/** Syncs until the signal aborts, then resolves. Rejects with the Fault of what no later try can mend. */
export async function watchFolder(options: WatchOptions): Promise<void> {
  const { signal, root, onTrouble } = options;
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const pending = new Pending();
  const disk = watchDisk(root, pending, onTrouble);
  const following = follow(options, pending, either);
  try {
    await Promise.race([passes(options, pending, disk === undefined ? LOOK_WITHOUT_EVENTS_MS : LOOK_MS), following]);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    stop.abort();
    disk?.close();
  }
}

async function passes(options: WatchOptions, pending: Pending, lookMs: number): Promise<never> {
  const { sync, signal, onReport, onTrouble } = options;
  const backoff = new Backoff(AGAIN);
  let listedMs = Date.now();
  for (;;) {
    signal.throwIfAborted();
    if (Date.now() - listedMs > LIST_ALL_MS) pending.addAll();
    const changed = pending.take();
    if (changed === "all") listedMs = Date.now();
    try {
      await onReport(await sync.pass(changed));
      backoff.reset();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Fault) || !(FAULTS[error.code].retryable || error.code === "not_running")) throw error;
      onTrouble(`${error.message}; trying again`);
      pending.addAll();
      await backoff.wait(signal);
      continue;
    }
    await nextEvent(pending, Math.min(lookMs, sync.dueMs ?? lookMs), signal);
  }
}

/** Resolves after an event and the quiet after it, or after `ms`. */
async function nextEvent(pending: Pending, ms: number, signal: AbortSignal): Promise<void> {
  const waited = new AbortController();
  const either = AbortSignal.any([signal, waited.signal]);
  await Promise.race([pending.next, pause(ms, either)]).finally(() => waited.abort());
  signal.throwIfAborted();
  const busyUntilMs = Date.now() + MAX_BUSY_MS;
  for (let last = -1; last !== pending.events && Date.now() < busyUntilMs; ) {
    last = pending.events;
    await pause(QUIET_MS, signal);
  }
}

/** Follows the changes of contexts. A stream that is refused is begun again, and everything is listed. */
async function follow({ changes, onTrouble }: WatchOptions, pending: Pending, signal: AbortSignal): Promise<never> {
  const backoff = new Backoff(AGAIN);
  for (;;) {
    try {
      for await (const id of changes()) {
        backoff.reset();
        pending.add(id);
      }
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Fault && (error.code === "forbidden" || error.code === "agent_unknown")) throw error;
      onTrouble(`the changes of the store cannot be followed: ${reasonOf(error)}; trying again`);
    }
    await backoff.wait(signal);
    pending.addAll();
  }
}

/** Watches the files. Returns undefined where the system cannot: then they are looked at every few seconds. */
function watchDisk(root: string, pending: Pending, onTrouble: (text: string) => void): FSWatcher | undefined {
  try {
    const watcher = watch(root, { recursive: true }, (_event, name) => {
      // Files of the sync itself, of editors and of git begin with a dot, or are below one.
      if (name === null || !/(?:^|\/)\./.test(String(name))) pending.add(undefined);
    });
    watcher.on("error", (error) => {
      onTrouble(
        `the folder cannot be watched any more (${reasonOf(error)}); it is looked at every ${LOOK_MS / 1000} s`,
      );
    });
    return watcher;
  } catch (error) {
    onTrouble(
      `the folder cannot be watched (${reasonOf(error)}); it is looked at every ${LOOK_WITHOUT_EVENTS_MS / 1000} s`,
    );
    return undefined;
  }
}
