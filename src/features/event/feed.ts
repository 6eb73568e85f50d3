// The feed of events of one node: wakes waits and streams when events were appended, and keeps the newest rows with
// what they look like, so that many readers of the same events read and render them once. A reader is a cursor and a
// wake-up, never a queue.

import { Fault } from "../../lib/fault.ts";
import type { Log } from "../../log/log.ts";
import { ServiceKey } from "../../operation/services.ts";
import type { Reader } from "../../store/store.ts";
import { type EventRow, eventHead, eventsAfter } from "./rows.ts";
import { type ShownEvent, shown } from "./shown.ts";

/** Most events, and bytes of them, that are kept in memory. */
const KEPT = 4096;
const KEPT_BYTES = 16 * 1024 * 1024;
/** Readers that are woken in one turn of the event loop. */
const WOKEN_AT_ONCE = 32;

/** One event as readers get it. */
export interface FedEvent {
  row: EventRow;
  value: ShownEvent;
  /** `value` as JSON. */
  text: string;
}

/** The feed of events of a full member. */
export class EventFeed {
  readonly #reader: Reader;
  readonly #log: () => Log;
  readonly #listeners = new Set<() => void>();
  readonly #kept = new Map<number, FedEvent>();
  #keptBytes = 0;
  #epoch = "";
  #tail = -1;
  #isDue = false;
  #stop: (() => void) | undefined;

  constructor(reader: Reader, log: () => Log) {
    this.#reader = reader;
    this.#log = log;
  }

  /**
   * Calls `listener` soon after events were appended, once for several appends. Returns the function that removes it.
   */
  onNews(listener: () => void): () => void {
    this.#listeners.add(listener);
    this.#stop ??= this.#listen();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#stop?.();
      this.#stop = undefined;
    };
  }

  /** Share of the memory for the newest events that is used, 0 to 1. */
  get utilization(): number {
    return Math.min(1, Math.max(this.#kept.size / KEPT, this.#keptBytes / KEPT_BYTES));
  }

  /** Returns the events after an offset, at most `max`, oldest first. */
  after(offset: number, max: number): FedEvent[] {
    const epoch = this.#log().position().epoch;
    if (epoch !== this.#epoch) this.#forget(epoch);
    const found: FedEvent[] = [];
    for (let next = offset + 1; found.length < max; next += 1) {
      const kept = this.#kept.get(next);
      if (kept === undefined) break;
      found.push(kept);
    }
    if (found.length === max) return found;
    const rows = eventsAfter(this.#reader, offset + found.length, max - found.length);
    return [...found, ...rows.map((row) => this.#keep(row))];
  }

  /**
   * Resolves when there may be events after `offset`, or when `deadline` aborts. Rejects when `signal` aborts, and with
   * Fault `unavailable` when the node stops.
   */
  async wait(offset: number, signal: AbortSignal, deadline: AbortSignal): Promise<void> {
    const woken = Promise.withResolvers<void>();
    const abort = () => woken.reject(signal.reason);
    const wake = () => woken.resolve();
    const stop = this.onNews(wake);
    signal.addEventListener("abort", abort, { once: true });
    deadline.addEventListener("abort", wake, { once: true });
    try {
      signal.throwIfAborted();
      this.#refuseEnded();
      if (deadline.aborted || eventHead(this.#reader).tail > offset) return;
      await woken.promise;
      this.#refuseEnded();
    } finally {
      stop();
      signal.removeEventListener("abort", abort);
      deadline.removeEventListener("abort", wake);
    }
  }

  #refuseEnded(): void {
    if (!this.#log().changes.ended) return;
    throw new Fault("unavailable", "This node is stopping", {
      hint: "Go on from your last cursor on another node.",
    });
  }

  #listen(): () => void {
    const { changes } = this.#log();
    this.#tail = eventHead(this.#reader).tail;
    return changes.onHead(() => {
      // The store is closed next.
      if (changes.ended) for (const listener of [...this.#listeners]) listener();
      if (changes.ended || this.#isDue) return;
      this.#isDue = true;
      setImmediate(() => this.#wake());
    });
  }

  #wake(): void {
    this.#isDue = false;
    // Without a reader nothing is read: the store may be closed by now.
    if (this.#listeners.size === 0 || this.#log().changes.ended) return;
    const { tail } = eventHead(this.#reader);
    if (tail === this.#tail) return;
    this.#tail = tail;
    this.#callSome([...this.#listeners]);
  }

  /** Calls listeners, the rest in later turns, so that many readers hold up no answer. */
  #callSome(listeners: readonly (() => void)[]): void {
    const rest = listeners.slice(WOKEN_AT_ONCE);
    if (rest.length > 0) setImmediate(() => this.#callSome(rest));
    for (const listener of listeners.slice(0, WOKEN_AT_ONCE)) if (this.#listeners.has(listener)) listener();
  }

  #keep(row: EventRow): FedEvent {
    const value = shown(row, this.#epoch);
    const event = { row, value, text: JSON.stringify(value) };
    if (this.#kept.has(row.offset)) return event;
    this.#kept.set(row.offset, event);
    this.#keptBytes += event.text.length;
    for (const [offset, oldest] of this.#kept) {
      if (this.#kept.size <= KEPT && this.#keptBytes <= KEPT_BYTES) break;
      this.#kept.delete(offset);
      this.#keptBytes -= oldest.text.length;
    }
    return event;
  }

  #forget(epoch: string): void {
    this.#epoch = epoch;
    this.#kept.clear();
    this.#keptBytes = 0;
  }
}

/** The feed of events of the node. */
export const EVENT_FEED: ServiceKey<EventFeed> = new ServiceKey("the feed of events");
