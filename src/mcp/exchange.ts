// One POST with requests, until all of them are responded to: as plain JSON where that does not take long, else as a
// stream, which a client that lost its connection may resume.

import type { JSONRPCMessage, RequestId } from "@modelcontextprotocol/server";
import { httpError } from "./errors.ts";
import type { Place, RecentEvents } from "./event-store.ts";
import { MessageStream } from "./message-stream.ts";

/** How long a response is held back to be sent as JSON, in ms. */
const SHORT_MS = 1000;
/** How long clients wait before they open a broken stream again, in ms. */
export const RETRY_MS = 1000;

export interface ExchangeOptions {
  sessionId: string;
  ids: readonly RequestId[];
  /** Where its events are kept and under which name; undefined: it cannot be resumed. */
  kept: { events: RecentEvents; name: string } | undefined;
  /** The client knows events that have no message. */
  primes: boolean;
  /** It takes long by its nature: it is a stream from the beginning. */
  isLong: boolean;
  keepAliveMs: number;
  /** Called when the client went away before all was responded to. */
  onGone: () => void;
}

/** The response to one POST. */
export class Exchange {
  /** The HTTP response of the POST. */
  readonly response: Promise<Response>;
  readonly #options: ExchangeOptions;
  readonly #open: Set<RequestId>;
  readonly #isBatch: boolean;
  /** Messages that came before it was decided how to respond. */
  readonly #early: JSONRPCMessage[] = [];
  readonly #respond: (response: Response) => void;
  readonly #short: ReturnType<typeof setTimeout>;
  #decided = false;
  #stream: MessageStream | undefined;

  constructor(options: ExchangeOptions, isBatch: boolean) {
    const { promise, resolve } = Promise.withResolvers<Response>();
    this.#options = options;
    this.#open = new Set(options.ids);
    this.#isBatch = isBatch;
    this.response = promise;
    this.#respond = resolve;
    this.#short = setTimeout(() => this.#begin(), SHORT_MS);
    if (options.isLong) this.#begin();
  }

  /** Sends what belongs to a request and is not its response. */
  send(message: JSONRPCMessage): void {
    this.#begin();
    this.#write(message, false);
  }

  /** Sends the response to a request; the last one ends the exchange. */
  answer(id: RequestId, message: JSONRPCMessage): void {
    if (!this.#open.delete(id)) return;
    if (this.#decided) this.#write(message, this.#open.size === 0);
    else this.#early.push(message);
    if (this.#open.size === 0) this.#finish();
  }

  /** A request was cancelled, and gets no response. */
  drop(id: RequestId): void {
    if (this.#open.delete(id) && this.#open.size === 0) this.#finish();
  }

  /** Goes on at a new connection of its client, after a place that it knows; the earlier connection ends. */
  resume(place: Place, onEnd: () => void): Response {
    const stream = this.#attach(onEnd);
    for (const { id, message } of this.#options.kept?.events.after(place) ?? []) stream.message(message, id);
    return stream.response(this.#options.sessionId);
  }

  /** The client of its POST went away. */
  gone(): void {
    if (this.#open.size > 0) this.#options.onGone();
  }

  /** Ends the connection; the client comes back for the rest. */
  detach(): void {
    this.#begin();
    this.#stream?.close();
  }

  /** Ends without a response, with its session. */
  abandon(): void {
    this.#open.clear();
    this.#settle(() => httpError(503, 503, "The session was closed while the call was running", { retryable: true }));
    this.#stream?.close();
  }

  /** Responds with a stream, if it is not decided yet. */
  #begin(): void {
    this.#settle(() => {
      const { kept, primes, sessionId } = this.#options;
      const stream = this.#attach();
      if (kept !== undefined && primes) stream.place(kept.events.mark(kept.name), RETRY_MS);
      for (const message of this.#early.splice(0)) this.#write(message, false);
      return stream.response(sessionId);
    });
  }

  #finish(): void {
    // What was cancelled before anything was sent gets a stream that ends at once.
    if (this.#early.length === 0) this.#begin();
    this.#settle(() => {
      const text = JSON.stringify(this.#isBatch ? this.#early : this.#early[0]);
      const headers = { "content-type": "application/json", "mcp-session-id": this.#options.sessionId };
      return new Response(text, { headers });
    });
    this.#stream?.close();
  }

  #settle(response: () => Response): void {
    if (this.#decided) return;
    this.#decided = true;
    clearTimeout(this.#short);
    this.#respond(response());
  }

  #write(message: JSONRPCMessage, isLast: boolean): void {
    const { kept } = this.#options;
    const id = kept?.events.keep(kept.name, message, isLast);
    this.#stream?.message(message, id);
  }

  #attach(onEnd = () => {}): MessageStream {
    this.#stream?.drop();
    const stream = new MessageStream({
      keepAliveMs: this.#options.keepAliveMs,
      onEnd: (byClient) => {
        if (this.#stream === stream) this.#stream = undefined;
        onEnd();
        if (byClient) this.gone();
      },
    });
    this.#stream = stream;
    return stream;
  }
}
