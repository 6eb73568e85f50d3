// The body of a server-sent stream of JSON-RPC messages. What its client has not taken yet waits here; a quiet stream
// is kept alive by comments.

import type { JSONRPCMessage } from "@modelcontextprotocol/server";
import { Outlet } from "../lib/outlet.ts";
import { OPENED } from "./flow.ts";

const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-cache, no-transform",
  connection: "keep-alive",
  "x-accel-buffering": "no",
};

export interface MessageStreamOptions {
  /** How often a comment is sent; left out: never, because its messages do it. */
  keepAliveMs?: number;
  /** Called each time the client has taken everything. */
  onIdle?: () => void;
  /** Called once when the stream ends; `byClient`: the client went away. */
  onEnd: (byClient: boolean) => void;
}

/** One stream. */
export class MessageStream {
  readonly #outlet: Outlet;
  readonly #waiting: string[] = [];
  readonly #keepAlive: ReturnType<typeof setInterval> | undefined;
  readonly #onEnd: (byClient: boolean) => void;
  readonly #onIdle: () => void;
  #ended = false;

  constructor({ keepAliveMs, onIdle = () => {}, onEnd }: MessageStreamOptions) {
    this.#onEnd = onEnd;
    this.#onIdle = onIdle;
    this.#outlet = new Outlet({ preface: OPENED, onIdle: () => this.#next(), onEnd: () => this.#end(true) });
    if (keepAliveMs === undefined) return;
    this.#keepAlive = setInterval(() => this.#outlet.write(": keepalive\n\n"), keepAliveMs);
    this.#keepAlive.unref();
  }

  /** Reports whether the client has taken everything. */
  get idle(): boolean {
    return this.#outlet.idle && this.#waiting.length === 0;
  }

  /** Returns the response whose body is this stream, of a session where there is one. */
  response(sessionId?: string): Response {
    const headers = { ...HEADERS, ...(sessionId === undefined ? {} : { "mcp-session-id": sessionId }) };
    return new Response(this.#outlet.body, { headers });
  }

  /** Writes a message, with its event id where the stream can be resumed. */
  message(message: JSONRPCMessage, id?: string): void {
    this.#write(`event: message\n${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(message)}\n\n`);
  }

  /** Writes an event without a message: an id to resume from, and how long a client waits before it does that. */
  place(id: string | undefined, retryMs: number): void {
    this.#write(`${id === undefined ? "" : `id: ${id}\n`}retry: ${retryMs}\ndata: \n\n`);
  }

  /** Ends the stream when the client has taken what was written. */
  close(): void {
    if (this.#ended) return;
    const rest = this.#waiting.splice(0).join("");
    this.#end(false);
    this.#outlet.end(rest === "" ? undefined : rest);
  }

  /** Ends the stream now. */
  drop(): void {
    this.#end(false);
    this.#outlet.close();
  }

  #write(text: string): void {
    if (!this.#ended && !this.#outlet.write(text)) this.#waiting.push(text);
  }

  #next(): void {
    if (this.#waiting.length > 0) this.#outlet.write(this.#waiting.splice(0).join(""));
    else this.#onIdle();
  }

  #end(byClient: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#keepAlive);
    this.#onEnd(byClient);
  }
}
