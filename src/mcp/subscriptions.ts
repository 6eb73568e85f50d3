// Who waits for which context: an index from context id to subscribers, fed by one cursor on the change feed, whichever surface wrote.
// A subscriber holds a set of what changed, never a queue: bounded by what it watches, handed over when its stream is free, judged by its rights at that moment.

import type { Caller } from "../access/caller.ts";
import { spaceOf } from "../access/space.ts";
import { Fault } from "../lib/fault.ts";
import type { Change, Cursor } from "../log/changes.ts";
import type { LogLine } from "../observe/logging.ts";
import type { Invoker } from "../operation/invoke.ts";

/** Most contexts that one subscriber watches. */
export const MAX_WATCHED = 256;
const BATCH = 256;
/** Outcomes that leave the list of contexts as it was; every other one may have changed it. */
const SAME_LIST = new Set(["updated", "patched"]);

/** The way to one client. */
export interface Outlet {
  /** The caller as it is known now: its rights are judged for each delivery. */
  caller(): Caller;
  /** Whether the client has taken everything sent before. */
  free(): boolean;
  updated(id: string): void;
  listChanged(): void;
}

export class Subscriptions {
  readonly #invoker: Invoker;
  readonly #log: LogLine;
  readonly #byId = new Map<string, Set<Subscriber>>();
  readonly #all = new Set<Subscriber>();
  readonly #stop: () => void;
  #cursor: Cursor;

  constructor(invoker: Invoker, log: LogLine) {
    this.#invoker = invoker;
    this.#log = log;
    this.#cursor = invoker.changes.cursor();
    this.#stop = invoker.changes.onApplied(() => this.#drain());
  }

  /** A new subscriber that watches nothing yet; `close` it. How many there may be is the business of listens and sessions. */
  open(outlet: Outlet): Subscriber {
    const subscriber = new Subscriber(outlet, this.#byId, (id) => this.mayRead(outlet.caller(), id));
    subscriber.onClose = () => this.#all.delete(subscriber);
    this.#all.add(subscriber);
    return subscriber;
  }

  /** Whether the caller may read this context, existing or not. */
  mayRead(caller: Caller, id: string): boolean {
    return this.#invoker.rights(caller).mayUse({ verb: "read", operation: "context_get", space: spaceOf(id) });
  }

  /** Whether the caller may read this context, and changes of its space come to this node. */
  mayWatch(caller: Caller, id: string): boolean {
    if (!this.mayRead(caller, id)) return false;
    try {
      this.#invoker.refuseFollow(spaceOf(id));
      return true;
    } catch (error) {
      if (error instanceof Fault) return false;
      throw error;
    }
  }

  close(): void {
    this.#stop();
    for (const subscriber of [...this.#all]) subscriber.close();
  }

  /** Reads everything new and marks it; with no subscriber there is nothing to read, only a place to go on from. */
  #drain(): void {
    if (this.#all.size === 0) {
      this.#cursor = this.#invoker.changes.cursor();
      return;
    }
    const touched = new Set<Subscriber>();
    try {
      for (let batch = this.#cursor.next(BATCH); batch.length > 0; batch = this.#cursor.next(BATCH)) {
        for (const change of batch) this.#mark(change, touched);
      }
    } catch (error) {
      this.#afterGap(error, touched);
    }
    for (const subscriber of touched) subscriber.flush();
  }

  #mark(change: Change, touched: Set<Subscriber>): void {
    if (!change.operation.startsWith("context_")) return;
    for (const subscriber of this.#byId.get(change.target) ?? []) {
      subscriber.mark(change.target);
      touched.add(subscriber);
    }
    if (SAME_LIST.has(change.outcome)) return;
    for (const subscriber of this.#all) {
      if (!subscriber.wantsList || !this.mayRead(subscriber.caller(), change.target)) continue;
      subscriber.markList();
      touched.add(subscriber);
    }
  }

  /** Changes were missed: anything may have changed, so everybody is told to look. */
  #afterGap(error: unknown, touched: Set<Subscriber>): void {
    const level = error instanceof Fault ? "warning" : "error";
    this.#log(level, `changes were missed, all MCP subscribers are told to read again: ${String(error)}`);
    this.#cursor = this.#invoker.changes.cursor();
    for (const subscriber of this.#all) {
      subscriber.markAll();
      touched.add(subscriber);
    }
  }
}

export class Subscriber {
  /** Whether it wants to know of created and deleted contexts. */
  wantsList = false;
  onClose: () => void = () => {};
  readonly #outlet: Outlet;
  readonly #index: Map<string, Set<Subscriber>>;
  readonly #mayRead: (id: string) => boolean;
  readonly #watched = new Set<string>();
  readonly #changed = new Set<string>();
  #listChanged = false;

  constructor(outlet: Outlet, index: Map<string, Set<Subscriber>>, mayRead: (id: string) => boolean) {
    this.#outlet = outlet;
    this.#index = index;
    this.#mayRead = mayRead;
  }

  caller(): Caller {
    return this.#outlet.caller();
  }

  /** Watches a context, existing or not. Throws Fault `rate_limited` above MAX_WATCHED. */
  watch(id: string): void {
    if (this.#watched.has(id)) return;
    if (this.#watched.size >= MAX_WATCHED) {
      throw new Fault("rate_limited", `This subscriber watches ${MAX_WATCHED} contexts already`, {
        hint: "Unsubscribe from some, or watch the list of resources.",
      });
    }
    this.#watched.add(id);
    const watchers = this.#index.get(id) ?? new Set();
    watchers.add(this);
    this.#index.set(id, watchers);
  }

  unwatch(id: string): void {
    this.#changed.delete(id);
    if (!this.#watched.delete(id)) return;
    const watchers = this.#index.get(id);
    watchers?.delete(this);
    if (watchers?.size === 0) this.#index.delete(id);
  }

  mark(id: string): void {
    this.#changed.add(id);
  }

  markList(): void {
    this.#listChanged = true;
  }

  markAll(): void {
    for (const id of this.#watched) this.#changed.add(id);
    this.#listChanged = this.wantsList;
  }

  /** Hands over what changed if the client is ready for it; otherwise it waits for the stream to say so by calling this again. */
  flush(): void {
    if ((this.#changed.size === 0 && !this.#listChanged) || !this.#outlet.free()) return;
    const changed = [...this.#changed];
    const listChanged = this.#listChanged;
    this.#changed.clear();
    this.#listChanged = false;
    for (const id of changed) if (this.#mayRead(id)) this.#outlet.updated(id);
    if (listChanged) this.#outlet.listChanged();
  }

  close(): void {
    for (const id of [...this.#watched]) this.unwatch(id);
    this.#changed.clear();
    this.#listChanged = false;
    this.wantsList = false;
    this.onClose();
  }
}
