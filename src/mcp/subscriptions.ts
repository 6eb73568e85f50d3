// Wakes MCP clients when what they watch has changed: an index from resource to subscribers, fed by one cursor on the
// change feed, whichever surface wrote. A subscriber holds a set of what changed, never a queue: bounded by what it
// watches, delivered when its stream is free, judged by its rights at that moment.

import type { Caller } from "../access/caller.ts";
import { spaceOf } from "../access/space.ts";
import { Fault } from "../lib/fault.ts";
import type { Change, Cursor } from "../log/changes.ts";
import type { LogLine } from "../observe/logging.ts";
import type { Invoker } from "../operation/invoke.ts";
import type { ResourceIndex, ResourceKind } from "./resource-index.ts";

/** Most resources that one subscriber watches. */
export const MAX_WATCHED = 256;
/** Longest URI that is watched, in characters: an id of 512 bytes takes up to 1,536, and a query goes with it. */
const MAX_URI = 2048;
/** Changes read at a time. */
const BATCH = 256;

/** The way to one client. */
export interface Outlet {
  /** The caller as it is known now: its rights are judged for each delivery. */
  caller(): Caller;
  /** Returns the key of the agent as which the client asks now. */
  agentKey(): string | undefined;
  /** Reports whether the client has taken everything sent before. */
  free(): boolean;
  updated(uri: string): void;
  listChanged(): void;
}

/** All subscribers of a node. */
export class Subscriptions {
  readonly #invoker: Invoker;
  readonly #index: ResourceIndex;
  readonly #log: LogLine;
  /** By the spelling that `ResourceIndex.keyOf` returns. */
  readonly #byKey = new Map<string, Set<Watch>>();
  readonly #all = new Set<Subscriber>();
  readonly #stop: () => void;
  #cursor: Cursor;

  constructor(invoker: Invoker, index: ResourceIndex, log: LogLine) {
    this.#invoker = invoker;
    this.#index = index;
    this.#log = log;
    this.#cursor = invoker.changes.cursor();
    this.#stop = invoker.changes.onApplied(() => this.#drain());
  }

  /** Opens a subscriber that watches nothing yet; `close` it. Listens and sessions bound how many there are. */
  open(outlet: Outlet): Subscriber {
    const subscriber = new Subscriber({
      outlet,
      byKey: this.#byKey,
      keyOf: (uri) => this.#index.keyOf(uri),
      mayRead: (uri) => this.mayRead(outlet.caller(), uri),
      tooMany: () =>
        new Fault("rate_limited", `This subscriber watches ${MAX_WATCHED} ${this.#index.names("s")} already`, {
          hint: "Unsubscribe from some, or watch the list of resources.",
        }),
      onClose: () => this.#all.delete(subscriber),
    });
    this.#all.add(subscriber);
    return subscriber;
  }

  /**
   * Reports whether the caller may read the changes of a resource, existing or not. Throws as `ResourceIndex.find`, and
   * for a URI that is too long.
   */
  mayRead(caller: Caller, uri: string): boolean {
    if (uri.length > MAX_URI) {
      const shown = JSON.stringify(uri.slice(0, 80));
      throw new Fault("invalid_input", `The URI ${shown}… has ${uri.length} characters, and ${MAX_URI} are allowed`, {
        hint: "Leave out its query: a subscription is to the whole resource.",
      });
    }
    const found = this.#index.find(uri);
    return found !== undefined && this.#mayRead(caller, found.kind, found.target);
  }

  /** Throws Fault `forbidden` where changes of the resource do not come to this node. */
  refuseFollow(uri: string): void {
    const found = this.#index.find(uri);
    if (found !== undefined) this.#invoker.refuseFollow(spaceOf(found.target));
  }

  /** Reports whether the caller may read the changes of a resource, and they come to this node. */
  mayWatch(caller: Caller, uri: string): boolean {
    try {
      if (!this.mayRead(caller, uri)) return false;
      this.refuseFollow(uri);
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

  /** Reads everything new and marks it; without subscribers it only moves on. */
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
    const kind = this.#index.changedBy(change.operation);
    if (kind === undefined) return;
    const { targetOf } = kind.resources;
    const target = targetOf === undefined ? change.target : targetOf(change.target);
    if (target === undefined) return;
    const key = kind.template.uriOf(target);
    for (const { subscriber, uri } of this.#byKey.get(key) ?? []) {
      if (!this.#maySee(subscriber, kind, change)) continue;
      subscriber.mark(uri);
      touched.add(subscriber);
    }
    if (targetOf !== undefined || kind.changes?.altersList(change) !== true) return;
    for (const subscriber of this.#all) {
      if (!subscriber.wantsList || !this.#mayRead(subscriber.caller(), kind, change.target)) continue;
      if (!this.#maySee(subscriber, kind, change)) continue;
      subscriber.markList();
      touched.add(subscriber);
    }
  }

  /** Reports whether a subscriber that may read the space of a change may see the change. */
  #maySee(subscriber: Subscriber, { changes }: ResourceKind, change: Change): boolean {
    if (changes?.mayRead === undefined) return true;
    const caller = subscriber.caller();
    const agentKey = subscriber.agentKey();
    return this.#invoker.maySee({ caller, agentKey, operation: changes.readBy }, change);
  }

  #mayRead(caller: Caller, { changes }: ResourceKind, target: string): boolean {
    if (changes === undefined) return false;
    return this.#invoker.rights(caller).mayUse({ verb: "read", operation: changes.readBy, space: spaceOf(target) });
  }

  /** Changes were missed, so anything may have changed: all subscribers are notified. */
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

/** A resource that one subscriber watches: its URI as the client spelled it, which the client knows it by. */
interface Watch {
  subscriber: Subscriber;
  uri: string;
  key: string;
}

interface SubscriberParts {
  outlet: Outlet;
  byKey: Map<string, Set<Watch>>;
  keyOf: (uri: string) => string;
  mayRead: (uri: string) => boolean;
  tooMany: () => Fault;
  onClose: () => void;
}

/** What one stream watches, and what of it changed since it was last delivered. */
export class Subscriber {
  /** True if it is notified when resources appear or go. */
  wantsList = false;
  readonly #parts: SubscriberParts;
  /** By URI. Several spellings of one resource are several watches. */
  readonly #watched = new Map<string, Watch>();
  readonly #changed = new Set<string>();
  #listChanged = false;

  constructor(parts: SubscriberParts) {
    this.#parts = parts;
  }

  caller(): Caller {
    return this.#parts.outlet.caller();
  }

  agentKey(): string | undefined {
    return this.#parts.outlet.agentKey();
  }

  /** Watches a resource, existing or not. Faults: `rate_limited` above MAX_WATCHED, those of `ResourceIndex.find`. */
  watch(uri: string): void {
    if (this.#watched.has(uri)) return;
    if (this.#watched.size >= MAX_WATCHED) throw this.#parts.tooMany();
    const key = this.#parts.keyOf(uri);
    const watch: Watch = { subscriber: this, uri, key };
    this.#watched.set(uri, watch);
    const watches = this.#parts.byKey.get(key) ?? new Set();
    watches.add(watch);
    this.#parts.byKey.set(key, watches);
  }

  unwatch(uri: string): void {
    const watch = this.#watched.get(uri);
    if (watch === undefined) return;
    this.#changed.delete(uri);
    this.#watched.delete(uri);
    const watches = this.#parts.byKey.get(watch.key);
    watches?.delete(watch);
    if (watches?.size === 0) this.#parts.byKey.delete(watch.key);
  }

  mark(uri: string): void {
    this.#changed.add(uri);
  }

  markList(): void {
    this.#listChanged = true;
  }

  markAll(): void {
    for (const uri of this.#watched.keys()) this.#changed.add(uri);
    this.#listChanged = this.wantsList;
  }

  /** Delivers what changed if the client is ready; otherwise the stream calls this again when it is. */
  flush(): void {
    const { outlet, mayRead } = this.#parts;
    if ((this.#changed.size === 0 && !this.#listChanged) || !outlet.free()) return;
    const changed = [...this.#changed];
    const listChanged = this.#listChanged;
    this.#changed.clear();
    this.#listChanged = false;
    for (const uri of changed) if (mayRead(uri)) outlet.updated(uri);
    if (listChanged) outlet.listChanged();
  }

  close(): void {
    for (const uri of [...this.#watched.keys()]) this.unwatch(uri);
    this.#changed.clear();
    this.#listChanged = false;
    this.wantsList = false;
    this.#parts.onClose();
  }
}
