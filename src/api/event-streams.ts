// All open streams of the change feed: one listener and one timer for all of them, turns in slices, ends with a reason.
// What one stream sends is event-stream.ts.

import type { Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import type { Following } from "../operation/follow.ts";
import type { Invoker } from "../operation/invoke.ts";
import { EventSocket, type EventSocketOptions } from "./event-socket.ts";
import { COME_BACK, EventStream, type OpenStream, type StreamTiming, TIMING } from "./event-stream.ts";

/** Streams that get a turn before other work of the event loop. */
const SLICE = 128;
/** Bounds of all streams together; each caller has `limits.streams_per_caller` besides. */
export interface StreamBounds {
  /** Streams and sockets that are open at the same time. */
  streams: number;
  /** Events that a socket sends ahead of what its client has acknowledged. */
  socketEvents: number;
}

/** What holds where a node says nothing. */
const BOUNDS: StreamBounds = { streams: 32_768, socketEvents: 256 };

export interface EventStreamsOptions {
  invoker: Invoker;
  timing?: Partial<StreamTiming>;
  bounds?: Partial<StreamBounds>;
  /** Called with what is no Fault; returns the id under which it was logged. */
  onUnexpected: (error: unknown) => string;
}

/** All streams of this node that are open by REST. */
export class EventStreams {
  readonly timing: StreamTiming;
  readonly #open = new Set<OpenStream>();
  /** Those of the change feed. */
  readonly #ofChanges = new Set<OpenStream>();
  readonly #bounds: StreamBounds;
  readonly #onUnexpected: (error: unknown) => string;
  readonly #stopListening: () => void;
  #timer: ReturnType<typeof setInterval> | undefined;
  #pass: IterableIterator<OpenStream> | undefined;
  #again = false;
  #closed = false;

  constructor(options: EventStreamsOptions) {
    this.timing = { ...TIMING, ...options.timing };
    this.#bounds = { ...BOUNDS, ...options.bounds };
    this.#onUnexpected = options.onUnexpected;
    this.#stopListening = options.invoker.changes.onApplied(() => this.#wake());
  }

  /** Number of open streams. */
  get size(): number {
    return this.#open.size;
  }

  /** Returns the open streams by kind. */
  connections(): { stream: number; websocket: number } {
    const websocket = [...this.#open].filter((stream) => stream instanceof EventSocket).length;
    return { stream: this.#open.size - websocket, websocket };
  }

  /** Throws Fault `unavailable` where no stream can be opened now. */
  refuseFull(): void {
    if (!this.#closed && this.#open.size < this.#bounds.streams) return;
    const why = this.#closed ? "This node is stopping" : `${this.#bounds.streams} streams are open on this node`;
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
    this.#add(stream);
    return stream.body;
  }

  /** Opens a socket; the follower is closed with it. */
  openSocket(following: Following, caller: Caller, publish: EventSocketOptions["publish"]): EventSocket {
    const socket = new EventSocket({
      ...{
        window: this.#bounds.socketEvents,
        following,
        publish,
        callerId: caller.id,
        timing: this.timing,
        onUnexpected: this.#onUnexpected,
      },
      onGone: () => this.#forget(socket),
    });
    this.#add(socket);
    return socket;
  }

  #add(stream: OpenStream): void {
    this.#open.add(stream);
    if (stream.isOfChanges) this.#ofChanges.add(stream);
    this.#timer ??= setInterval(() => this.#sweep(), Math.min(1000, this.timing.heartbeatMs / 4)).unref();
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

  #forget(stream: OpenStream): void {
    this.#open.delete(stream);
    this.#ofChanges.delete(stream);
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
    this.#pass = this.#ofChanges.values();
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
