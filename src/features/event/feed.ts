// The feed of events of one node: wakes waits and streams when events were appended, and keeps the newest rows with
// what they look like, and where the log is, so that many readers of the same events read and render them once. A
// reader is a cursor and a wake-up, never a queue.

import { Fault } from "../../lib/fault.ts";
import { ServiceKey } from "../../operation/services.ts";
import { cursorText } from "./cursor.ts";
import type { EventLog, Soon } from "./event-log.ts";
import type { EventRow } from "./rows.ts";
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

/** Where the log is, and the events that it has: those after `floor`, up to `tail`. */
interface LogRange {
  name: string;
  floor: number;
  tail: number;
}

/** The feed of events of a full member. */
export class EventFeed {
  readonly log: EventLog;
  readonly #listeners = new Set<() => void>();
  readonly #kept = new Map<number, FedEvent>();
  #keptBytes = 0;
  #name = "";
  /** As of the latest news of the log; undefined: to be read. */
  #range: LogRange | undefined;
  #tail = -1;
  #isDue = false;
  #stop: (() => void) | undefined;

  constructor(log: EventLog) {
    this.log = log;
  }

  /** Returns the cursor of an offset. */
  cursorOf(offset: number): string {
    return cursorText(this.#now().name, offset);
  }

  /** Throws the Fault of a reader at an offset whose next events are gone. */
  judge(offset: number): void {
    const { floor, tail } = this.#now();
    if (offset < floor || offset > tail) this.log.judge(this.cursorOf(offset));
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
      this.#range = undefined;
    };
  }

  /** Share of the memory for the newest events that is used, 0 to 1. */
  get utilization(): number {
    return Math.min(1, Math.max(this.#kept.size / KEPT, this.#keptBytes / KEPT_BYTES));
  }

  /** Returns the events after an offset, at most `max`, oldest first. */
  after(offset: number, max: number): Soon<FedEvent[]> {
    const { name, tail } = this.#now();
    if (name !== this.#name) this.#forget(name);
    const found: FedEvent[] = [];
    for (let next = offset + 1; found.length < max; next += 1) {
      const kept = this.#kept.get(next);
      if (kept === undefined) break;
      found.push(kept);
    }
    if (found.length === max || offset + found.length >= tail) return found;
    const rest = this.log.after(offset + found.length, max - found.length);
    const all = (rows: readonly EventRow[]) => [...found, ...rows.map((row) => this.#keep(row, name))];
    return rest instanceof Promise ? rest.then(all) : all(rest);
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
      if (deadline.aborted || this.#now().tail > offset) return;
      await woken.promise;
      this.#refuseEnded();
    } finally {
      stop();
      signal.removeEventListener("abort", abort);
      deadline.removeEventListener("abort", wake);
    }
  }

  #refuseEnded(): void {
    if (!this.log.isOver) return;
    throw new Fault("unavailable", "This node is stopping", {
      hint: "Go on from your last cursor on another node.",
    });
  }

  /** Returns where the log is. While someone listens for its news, it is read once after each. */
  #now(): LogRange {
    if (this.#range !== undefined) return this.#range;
    const { floor, tail } = this.log.head();
    const range = { name: this.log.name(), floor, tail };
    if (this.#stop !== undefined) this.#range = range;
    return range;
  }

  #listen(): () => void {
    this.#tail = this.log.head().tail;
    return this.log.onHead(() => {
      this.#range = undefined;
      // The store is closed next.
      if (this.log.isOver) for (const listener of [...this.#listeners]) listener();
      if (this.log.isOver || this.#isDue) return;
      this.#isDue = true;
      setImmediate(() => this.#wake());
    });
  }

  #wake(): void {
    this.#isDue = false;
    // Without a reader nothing is read: the store may be closed by now.
    if (this.#listeners.size === 0 || this.log.isOver) return;
    const { tail } = this.#now();
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

  #keep(row: EventRow, name: string): FedEvent {
    const value = shown(row, name);
    const event = { row, value, text: JSON.stringify(value) };
    if (name !== this.#name || this.#kept.has(row.offset)) return event;
    this.#kept.set(row.offset, event);
    this.#keptBytes += event.text.length;
    for (const [offset, oldest] of this.#kept) {
      if (this.#kept.size <= KEPT && this.#keptBytes <= KEPT_BYTES) break;
      this.#kept.delete(offset);
      this.#keptBytes -= oldest.text.length;
    }
    return event;
  }

  #forget(name: string): void {
    this.#name = name;
    this.#kept.clear();
    this.#keptBytes = 0;
  }
}

/** The feed of events of the node. */
export const EVENT_FEED: ServiceKey<EventFeed> = new ServiceKey("the feed of events");
