// All open streams of the change feed: one listener and one timer for all of them, turns in slices, ends with a reason.
// What one stream sends is event-stream.ts.

import type { Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import type { Following } from "../operation/follow.ts";
import type { Invoker } from "../operation/invoke.ts";
import { COME_BACK, EventStream, type StreamTiming, TIMING } from "./event-stream.ts";

/** Streams that get a turn before other work of the event loop. */
const SLICE = 128;
/** Bound over all callers; each has `limits.streams_per_caller` besides. */
const MAX_STREAMS = 32_768;

export interface EventStreamsOptions {
  invoker: Invoker;
  timing?: Partial<StreamTiming>;
  /** Called with what is no Fault; returns the id under which it was logged. */
  onUnexpected: (error: unknown) => string;
}

/** All streams of this node that are open by REST. */
export class EventStreams {
  readonly timing: StreamTiming;
  readonly #open = new Set<EventStream>();
  readonly #onUnexpected: (error: unknown) => string;
  readonly #stopListening: () => void;
  #timer: ReturnType<typeof setInterval> | undefined;
  #pass: IterableIterator<EventStream> | undefined;
  #again = false;
  #closed = false;

  constructor(options: EventStreamsOptions) {
    this.timing = { ...TIMING, ...options.timing };
    this.#onUnexpected = options.onUnexpected;
    this.#stopListening = options.invoker.changes.onApplied(() => this.#wake());
  }

  /** Number of open streams. */
  get size(): number {
    return this.#open.size;
  }

  /** Throws Fault `unavailable` where no stream can be opened now. */
  refuseFull(): void {
    if (!this.#closed && this.#open.size < MAX_STREAMS) return;
    const why = this.#closed ? "This node is stopping" : `${MAX_STREAMS} streams are open on this node`;
    throw new Fault("unavailable", why, {
      hint: "Try again in a moment, or on another node.",
      details: { retryAfterSeconds: 5 },
    });
  }

  /** Opens a stream and returns its body; the follower is closed with it. */
  open(following: Following, caller: Caller): ReadableStream<Uint8Array> {
    const stream = new EventStream(following, caller.id, this.timing, {
      onUnexpected: this.#onUnexpected,
      onGone: () => this.#forget(stream),
    });
    this.#open.add(stream);
    this.#timer ??= setInterval(() => this.#sweep(), Math.min(1000, this.timing.heartbeatMs / 4)).unref();
    return stream.body;
  }

  /**
   * Ends the streams of these callers (by `Caller.id`), since the caller each was opened with is out of date. Without
   * ids: judges all streams again.
   */
  callersChanged(ids?: readonly string[]): void {
    for (const stream of [...this.#open]) {
      if (ids === undefined) stream.judge();
      else if (ids.includes(stream.callerId)) {
        stream.end({ reason: "rights_changed", message: "Your rights on this node have changed", hint: COME_BACK });
      }
    }
  }

  /** Ends all streams with a reason; no new one is opened. */
  close(): void {
    this.#closed = true;
    this.#stopListening();
    for (const stream of [...this.#open]) {
      stream.end({ reason: "stopping", message: "This node is stopping", hint: COME_BACK }, { atOnce: true });
    }
  }

  #forget(stream: EventStream): void {
    this.#open.delete(stream);
    if (this.#open.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Gives every stream its turn, a slice at a time: ten thousand streams must not delay the write that woke them. */
  #wake(): void {
    if (this.#pass !== undefined) {
      this.#again = true;
      return;
    }
    this.#pass = this.#open.values();
    setImmediate(() => this.#slice());
  }

  #slice(): void {
    for (let count = 0; count < SLICE; count++) {
      const next = this.#pass?.next();
      if (next === undefined || next.done === true) {
        this.#pass = undefined;
        if (this.#again) {
          this.#again = false;
          this.#wake();
        }
        return;
      }
      next.value.send();
    }
    setImmediate(() => this.#slice());
  }

  #sweep(): void {
    const now = performance.now();
    for (const stream of [...this.#open]) stream.tick(now);
  }
}
