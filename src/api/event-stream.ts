// One stream of server-sent events: a cursor that is asked only when its client has taken everything before, so nothing is queued for one that does not read.

import { Fault } from "../lib/fault.ts";
import type { Followed, Following } from "../operation/follow.ts";

/** When a stream speaks without being asked, in ms. */
export interface StreamTiming {
  /** A quiet stream sends a comment this often, so that proxies keep it; rights are judged then too. */
  heartbeatMs: number;
  /** A client that has not taken what was sent after this time is told to go. */
  stallMs: number;
  /** It has this long to hear why; then the connection is cut. */
  graceMs: number;
  /** What clients are told to wait before they come back. */
  retryMs: number;
}

/** The usual times. */
export const TIMING: StreamTiming = { heartbeatMs: 15_000, stallMs: 30_000, graceMs: 10_000, retryMs: 2_000 };
/** Changes sent at once. */
const MAX_AT_ONCE = 64;
/** The hint of every end that is not the caller's fault. */
export const COME_BACK = "Come back with Last-Event-ID.";

/** Why a stream ended, as its last event says. */
interface End {
  /** A code of a Fault, or `rights_changed`, `slow_reader`, `stopping`. */
  reason: string;
  message: string;
  hint?: string | undefined;
}

interface Upkeep {
  onGone: () => void;
  onUnexpected: (error: unknown) => string;
}

/** Open until its client goes, its caller loses the right, or it is ended. */
export class EventStream {
  readonly body: ReadableStream<Uint8Array>;
  readonly callerId: string;
  readonly #following: Following;
  readonly #timing: StreamTiming;
  readonly #upkeep: Upkeep;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** The client has taken everything and asks for more. */
  #asked = false;
  #sentMs = performance.now();
  readonly #beatEveryMs: number;
  #sentPosition: string;
  #ending = false;
  #isGone = false;

  constructor(following: Following, callerId: string, timing: StreamTiming, upkeep: Upkeep) {
    this.callerId = callerId;
    this.#following = following;
    this.#timing = timing;
    this.#upkeep = upkeep;
    this.#sentPosition = following.position;
    // Streams that came together should not all beat together.
    this.#beatEveryMs = timing.heartbeatMs * (0.8 + Math.random() * 0.2);
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller: ReadableStreamDefaultController<Uint8Array>) => {
          this.#controller = controller;
          this.#write(`retry: ${timing.retryMs}\nid: ${following.position}\n\n`);
        },
        pull: () => {
          this.#asked = true;
          if (this.#ending) this.#finish();
          else this.send();
        },
        cancel: () => {
          this.#gone();
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** Sends what is new, if the client is ready for it. */
  send(): void {
    if (!this.#asked || this.#ending) return;
    this.#orEnd(() => {
      const { items, more } = this.#following.take(MAX_AT_ONCE);
      if (items.length > 0) {
        this.#sentPosition = items.at(-1)?.position ?? this.#sentPosition;
        this.#write(items.map(eventOf).join(""));
      } else if (more) setImmediate(() => this.send());
    });
  }

  /** Ends if the caller may no longer follow. */
  judge(): void {
    if (!this.#ending) this.#orEnd(() => this.#following.judge());
  }

  /** What time brings: a heartbeat, the end of a client that does not read, the cut of one that does not even read that. */
  tick(nowMs: number): void {
    const quietMs = nowMs - this.#sentMs;
    if (this.#ending) {
      if (quietMs > this.#timing.graceMs) this.#cut();
    } else if (!this.#asked) {
      if (quietMs > this.#timing.stallMs) {
        const message = `The client has not read for ${Math.round(quietMs / 1000)} s`;
        this.end({ reason: "slow_reader", message, hint: COME_BACK });
      }
    } else if (quietMs >= this.#beatEveryMs) {
      this.judge();
      this.#beat();
    }
  }

  /** Says why, then ends: at once where the client is ready or `atOnce` says so, otherwise when it has read that or its grace is over. */
  end(end: End, { atOnce = false }: { atOnce?: boolean } = {}): void {
    if (!this.#ending) {
      this.#ending = true;
      this.#following.close();
      const ready = this.#asked;
      this.#write(`event: end\ndata: ${JSON.stringify(end)}\n\n`);
      if (ready) this.#finish();
    }
    if (atOnce) this.#finish();
  }

  #beat(): void {
    if (this.#ending) return;
    const moved = this.#following.position !== this.#sentPosition;
    this.#sentPosition = this.#following.position;
    this.#write(`: heartbeat\n${moved ? `id: ${this.#sentPosition}\n` : ""}\n`);
  }

  #write(text: string): void {
    this.#asked = false;
    this.#sentMs = performance.now();
    this.#controller?.enqueue(Buffer.from(text, "utf8"));
  }

  #orEnd(body: () => void): void {
    try {
      body();
    } catch (error) {
      const { code, message, hint } = error instanceof Fault ? error : this.#unexpected(error);
      this.end({ reason: code, message, hint });
    }
  }

  #unexpected(error: unknown): Fault {
    return new Fault("internal", `The stream failed unexpectedly (error ${this.#upkeep.onUnexpected(error)})`, {
      hint: COME_BACK,
    });
  }

  #finish(): void {
    if (this.#gone()) this.#controller?.close();
  }

  #cut(): void {
    // An error without a value: the server closes the connection and prints nothing.
    if (this.#gone()) this.#controller?.error(undefined);
  }

  #gone(): boolean {
    if (this.#isGone) return false;
    this.#isGone = true;
    this.#ending = true;
    this.#following.close();
    this.#upkeep.onGone();
    return true;
  }
}

function eventOf({ position, value }: Followed): string {
  return `event: change\nid: ${position}\ndata: ${JSON.stringify(value)}\n\n`;
}
