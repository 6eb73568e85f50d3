// A WebSocket on which one client follows events and publishes its own. It gets as many as it has room for: what it has
// not acknowledged is bounded, and nothing is queued beyond that.

import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { parseJson } from "../lib/json-text.ts";
import { keepNumbers } from "../lib/json-value.ts";
import { problemOf } from "../lib/problem.ts";
import type { SocketHandlers, SocketPeer } from "../lib/socket.ts";
import { unexpectedFault } from "../lib/unexpected.ts";
import type { Following } from "../operation/follow.ts";
import type { End, OpenStream, StreamTiming } from "./event-stream.ts";

/** Bytes that a client has not taken before it gets more. */
const MAX_BUFFERED = 256 * 1024;
/** Events taken at once. */
const MAX_AT_ONCE = 64;
/** Most messages of a client that wait for the one before. */
const MAX_WAITING = 16;

/** Codes of RFC 6455 7.4.1; 4000 and a status of HTTP for what has none. */
const CLOSE_CODES: Readonly<Record<string, number>> = {
  stopping: 1001,
  rights_changed: 1008,
  forbidden: 1008,
  slow_reader: 1013,
  rate_limited: 1013,
  below_floor: 4410,
  history_forked: 4410,
  invalid_input: 4400,
};
const OTHER_CODE = 1011;

export interface EventSocketOptions {
  following: Following;
  callerId: string;
  timing: StreamTiming;
  /** Most events that the client has not acknowledged. */
  window: number;
  /** Publishes what a message of the client has. Rejects with a Fault. */
  publish: (input: Record<string, unknown>) => Promise<Record<string, unknown>>;
  onGone: () => void;
  onUnexpected: (error: unknown) => string;
}

/** A socket, open until its client disconnects, its caller loses the right, or `end` is called. */
export class EventSocket implements SocketHandlers, OpenStream {
  readonly isOfChanges: boolean;
  readonly callerId: string;
  readonly #options: EventSocketOptions;
  readonly #stopNews: () => void;
  readonly #unacknowledged: string[] = [];
  readonly #waiting: (string | Uint8Array)[] = [];
  #isPublishing = false;
  #peer: SocketPeer | undefined;
  #isOver = false;
  /** Since when the client makes no room although there is more, in ms of `performance.now()`. */
  #fullMs: number | undefined;
  #judgedMs = performance.now();
  #endedMs: number | undefined;

  constructor(options: EventSocketOptions) {
    this.#options = options;
    this.callerId = options.callerId;
    this.isOfChanges = options.following.isOfChanges;
    this.#stopNews = options.following.onNews(() => this.send());
  }

  opened(peer: SocketPeer): void {
    this.#peer = peer;
    if (this.#isOver) peer.terminate();
    this.#say({ cursor: this.#options.following.position });
    this.send();
  }

  closed(): void {
    this.#peer = undefined;
    this.#finish();
    this.#options.onGone();
  }

  drained(): void {
    this.send();
  }

  /** Sends new events while the client has room for them. */
  send(): void {
    this.#orEnd(() => {
      const room = Math.min(MAX_AT_ONCE, this.#room());
      if (room === 0) return;
      const { items, more } = this.#options.following.take(room);
      for (const { position, value, text } of items) {
        this.#unacknowledged.push(position);
        this.#peer?.send(`{"event":${text ?? JSON.stringify(value)}}`);
      }
      if (this.#room() === 0) this.#fullMs ??= performance.now();
      else if (more) setImmediate(() => this.send());
    });
  }

  message(data: string | Uint8Array): void {
    if (this.#isOver) return;
    if (this.#waiting.length >= MAX_WAITING) {
      const message = `${MAX_WAITING} messages of this socket wait already`;
      this.end({ reason: "rate_limited", message, hint: "Wait for the results of what you publish." });
      return;
    }
    this.#waiting.push(data);
    if (!this.#isPublishing) void this.#takeMessages();
  }

  judge(): void {
    this.#orEnd(() => this.#options.following.judge());
  }

  /** Called every second: judges the caller, ends the socket of a client that makes no room, cuts it after a grace. */
  tick(nowMs: number): void {
    const { heartbeatMs, stallMs, graceMs } = this.#options.timing;
    if (this.#endedMs !== undefined) {
      if (nowMs - this.#endedMs > graceMs) this.#peer?.terminate();
      return;
    }
    if (this.#fullMs !== undefined && this.#room() > 0) this.#fullMs = undefined;
    if (this.#fullMs !== undefined && nowMs - this.#fullMs > stallMs) {
      const message = `The client has acknowledged or read nothing for ${Math.round((nowMs - this.#fullMs) / 1000)} s`;
      this.end({ reason: "slow_reader", message, hint: "Come back with since." });
    } else if (nowMs - this.#judgedMs >= heartbeatMs) {
      this.#judgedMs = nowMs;
      this.judge();
    }
  }

  /** Sends the reason, then closes. */
  end(end: End, { atOnce = false }: { atOnce?: boolean } = {}): void {
    if (this.#isOver) return;
    this.#say({ end });
    this.#finish();
    this.#endedMs = performance.now();
    this.#peer?.close(CLOSE_CODES[end.reason] ?? OTHER_CODE, end.reason);
    if (atOnce) this.#peer?.terminate();
  }

  /** How many events the client may get now. */
  #room(): number {
    if (this.#peer === undefined || this.#isOver || this.#peer.buffered() > MAX_BUFFERED) return 0;
    return this.#options.window - this.#unacknowledged.length;
  }

  /** One after the other: events of a client keep their order. */
  async #takeMessages(): Promise<void> {
    this.#isPublishing = true;
    for (let next = this.#waiting.shift(); next !== undefined && !this.#isOver; next = this.#waiting.shift())
      await this.#take(next);
    this.#isPublishing = false;
  }

  async #take(data: string | Uint8Array): Promise<void> {
    let ref: unknown;
    try {
      const message = messageOf(data);
      ref = message["ref"];
      if (message["ack"] === undefined) this.#say({ ...(await this.#options.publish(message)), ref });
      else this.#acknowledge(message["ack"]);
    } catch (error) {
      const fault = error instanceof Fault ? error : unexpectedFault("The message", this.#options.onUnexpected(error));
      this.#say({ error: problemOf(fault), ref });
    }
  }

  #acknowledge(cursor: unknown): void {
    const at = typeof cursor === "string" ? this.#unacknowledged.indexOf(cursor) : -1;
    // It may come twice, and then says nothing new.
    if (at < 0) return;
    this.#unacknowledged.splice(0, at + 1);
    this.#fullMs = undefined;
    this.send();
  }

  #say(value: Record<string, unknown>): void {
    if (!this.#isOver) this.#peer?.send(JSON.stringify(value));
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#waiting.length = 0;
    this.#stopNews();
    this.#options.following.close();
  }

  #orEnd(body: () => void): void {
    if (this.#isOver) return;
    try {
      body();
    } catch (error) {
      const { code, message, hint } =
        error instanceof Fault ? error : unexpectedFault("The socket", this.#options.onUnexpected(error));
      this.end({ reason: code, message, hint });
    }
  }
}

/** Returns a message: `{ack}`, or `{publish, space?, ref?}`. Throws Fault `invalid_input`. */
function messageOf(data: string | Uint8Array): Record<string, unknown> {
  if (typeof data !== "string") throw wrongMessage("is not text");
  const message = keepNumbers(data, parseJson(data, "The message"));
  if (!isObject(message)) throw wrongMessage("is no JSON object");
  const unknown = Object.keys(message).find((name) => !["ack", "publish", "space", "ref"].includes(name));
  if (unknown !== undefined) throw wrongMessage(`has the member ${JSON.stringify(unknown.slice(0, 80))}`);
  if (message["ack"] === undefined && message["publish"] === undefined) throw wrongMessage("has no ack and no publish");
  return message;
}

function wrongMessage(what: string): Fault {
  return new Fault("invalid_input", `The message ${what}`, {
    hint: 'Send {"ack": "CURSOR"}, or {"publish": [EVENT, …], "space": "…", "ref": 1}.',
    details: { field: "message" },
  });
}
