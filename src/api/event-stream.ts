// One stream of server-sent events: a cursor that is read only when the client has taken everything before, so nothing
// is queued for a client that does not read.

import { Fault } from "../lib/fault.ts";
import { Outlet } from "../lib/outlet.ts";
import { unexpectedFault } from "../lib/unexpected.ts";
import type { Followed, Following } from "../operation/follow.ts";

/** Times of a stream, in ms. */
export interface StreamTiming {
  /** A quiet stream sends a comment this often, so that proxies keep it; rights are judged then too. */
  heartbeatMs: number;
  /** A stream ends when its client has not read for this long. */
  stallMs: number;
  /** How long that client may take to read the last event; then the connection is cut. */
  graceMs: number;
  /** How long clients should wait before they reconnect. */
  retryMs: number;
}

/** The usual times. */
export const TIMING: StreamTiming = { heartbeatMs: 15_000, stallMs: 30_000, graceMs: 10_000, retryMs: 2_000 };
/** Changes sent at once. */
const MAX_AT_ONCE = 64;
/** The hint of every end that the caller did not cause. */
export const COME_BACK = "Come back with Last-Event-ID.";

/** Why a stream ended, as its last event says. */
export interface End {
  /** A code of a Fault, or `rights_changed`, `slow_reader`, `stopping`. */
  reason: string;
  message: string;
  hint?: string | undefined;
}

/** What all open streams are for those that keep them. */
export interface OpenStream {
  readonly callerId: string;
  /** Whether it has to be woken when changes were applied. */
  readonly isOfChanges: boolean;
  /** Sends what is new, if the client has room for it. */
  send(): void;
  /** Ends if the caller may no longer follow. */
  judge(): void;
  /** Called every second, with ms of `performance.now()`. */
  tick(nowMs: number): void;
  end(end: End, options?: { atOnce?: boolean }): void;
}

interface Upkeep {
  onGone: () => void;
  onUnexpected: (error: unknown) => string;
}

/** A stream, open until its client disconnects, its caller loses the right, or `end` is called. */
export class EventStream implements OpenStream {
  readonly callerId: string;
  /** Whether it has to be woken when changes were applied. */
  readonly isOfChanges: boolean;
  readonly #following: Following;
  readonly #timing: StreamTiming;
  readonly #upkeep: Upkeep;
  readonly #outlet: Outlet;
  readonly #beatEveryMs: number;
  readonly #stopNews: () => void;
  #sentPosition: string;

  constructor(following: Following, callerId: string, timing: StreamTiming, upkeep: Upkeep) {
    this.callerId = callerId;
    this.isOfChanges = following.isOfChanges;
    this.#following = following;
    this.#timing = timing;
    this.#upkeep = upkeep;
    this.#sentPosition = following.position;
    // Spreads the heartbeats of streams that were opened together.
    this.#beatEveryMs = timing.heartbeatMs * (0.8 + Math.random() * 0.2);
    this.#stopNews = following.onNews(() => this.send());
    this.#outlet = new Outlet({
      preface: `retry: ${timing.retryMs}\nid: ${following.position}\n\n`,
      onIdle: () => this.send(),
      onEnd: () => {
        this.#stopNews();
        following.close();
        upkeep.onGone();
      },
    });
  }

  get body(): ReadableStream<Uint8Array> {
    return this.#outlet.body;
  }

  /** Sends new changes, if the client has taken the last ones. */
  send(): void {
    if (!this.#outlet.idle) return;
    this.#orEnd(() => {
      const { items, more } = this.#following.take(MAX_AT_ONCE);
      if (items.length > 0) {
        this.#sentPosition = items.at(-1)?.position ?? this.#sentPosition;
        this.#outlet.write(items.map((item) => eventOf(this.#following.eventName, item)).join(""));
      } else if (more) setImmediate(() => this.send());
    });
  }

  /** Ends if the caller may no longer follow. */
  judge(): void {
    if (!this.#outlet.ending) this.#orEnd(() => this.#following.judge());
  }

  /** Called every second: sends a heartbeat, ends the stream of a client that does not read, cuts it after a grace. */
  tick(nowMs: number): void {
    const quietMs = nowMs - this.#outlet.writtenMs;
    if (this.#outlet.ending) {
      if (quietMs > this.#timing.graceMs) this.#outlet.cut();
    } else if (!this.#outlet.idle) {
      if (quietMs > this.#timing.stallMs) {
        const message = `The client has not read for ${Math.round(quietMs / 1000)} s`;
        this.end({ reason: "slow_reader", message, hint: COME_BACK });
      }
    } else if (quietMs >= this.#beatEveryMs) {
      this.judge();
      this.#beat();
    }
  }

  /**
   * Sends the reason, then ends: at once where the client has read everything or with `atOnce`, otherwise when it has
   * read the reason or its grace is over.
   */
  end(end: End, { atOnce = false }: { atOnce?: boolean } = {}): void {
    if (!this.#outlet.ending) {
      this.#following.close();
      this.#outlet.end(`event: end\ndata: ${JSON.stringify(end)}\n\n`);
    }
    if (atOnce) this.#outlet.close();
  }

  #beat(): void {
    if (this.#outlet.ending) return;
    const moved = this.#following.position !== this.#sentPosition;
    this.#sentPosition = this.#following.position;
    this.#outlet.write(`: heartbeat\n${moved ? `id: ${this.#sentPosition}\n` : ""}\n`);
  }

  #orEnd(body: () => void): void {
    try {
      body();
    } catch (error) {
      const { code, message, hint } =
        error instanceof Fault ? error : unexpectedFault("The stream", this.#upkeep.onUnexpected(error), COME_BACK);
      this.end({ reason: code, message, hint });
    }
  }
}

function eventOf(name: string | undefined, { position, value, text }: Followed): string {
  const head = name === undefined ? "" : `event: ${name}\n`;
  return `${head}id: ${position}\ndata: ${text ?? JSON.stringify(value)}\n\n`;
}
