// stdio MCP to a node's /mcp: each line of the client becomes one POST with the same body, each response one line.
// Recognizes the protocol revision message by message. Writes nothing but protocol to stdout, and keeps no state but
// the calls in flight and the session of a client of an older revision.

import { Fault } from "../lib/fault.ts";
import { type Line, readLines } from "../lib/read-lines.ts";
import type { LogLine } from "../observe/logging.ts";
import { post, readResponses } from "./exchange.ts";
import {
  failedCall,
  idOf,
  JsonRpcError,
  type Message,
  type MessageId,
  parseMessage,
  statelessHeaders,
  statelessRevisionOf,
} from "./json-rpc.ts";
import { LISTEN, ListenStreams } from "./listen-stream.ts";
import { recordPosition, sendWithRetry } from "./retry.ts";
import type { Route } from "./route.ts";
import { BridgeSession, withListChanged } from "./session.ts";

/** A stream that is its client's to open again, with its cursor. */
const EVENTS_STREAM = "events/stream";

/** A bridge between a client on two streams and the nodes of a route. */
export interface BridgeOptions {
  /** Chooses the node; closed with the bridge. */
  route: Route;
  stdin: AsyncIterable<Uint8Array | string>;
  stdout: { write(text: string, done: (error?: Error | null) => void): unknown };
  /** Ends the bridge at once. */
  signal: AbortSignal;
  log: LogLine;
}

/** More concurrent calls than this are refused; Bun's own limit of connections is 256. */
const MAX_IN_FLIGHT = 128;
/** How long pending responses are waited for after the end of stdin, in ms. */
const DRAIN_MS = 10_000;

/** Longest message of the client, in bytes. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;
const NOT_JSON = new JsonRpcError(-32700, "The line is not a JSON object", {
  hint: "Send one JSON-RPC object on one line; batches are not supported.",
});
const NOT_A_MESSAGE = new JsonRpcError(-32600, "The message is neither a request, a notification nor a response", {
  hint: "A request has jsonrpc, id and method.",
});
const BUSY = new JsonRpcError(429, `${MAX_IN_FLIGHT} calls are in flight`, {
  hint: "Wait for responses before you send more.",
  retryable: true,
});

/** Runs a bridge until stdin ends or the signal aborts. */
export async function runBridge(options: BridgeOptions): Promise<void> {
  const end = new AbortController();
  const signal = AbortSignal.any([options.signal, end.signal]);
  const bridge = new Bridge(options, signal, (error) => {
    options.log("debug", `stdout is closed: ${error.message}`);
    end.abort();
  });
  try {
    for await (const line of readLines(options.stdin, signal, MAX_LINE_BYTES)) bridge.take(line);
    if (!signal.aborted) await bridge.drain(DRAIN_MS);
  } finally {
    await bridge.close();
    end.abort();
  }
}

class Bridge {
  readonly #options: BridgeOptions;
  readonly #signal: AbortSignal;
  readonly #listenStreams: ListenStreams;
  readonly #session: BridgeSession;
  /**
   * Calls by id. Aborting one closes its HTTP request: that cancels a call of the stateless revision, and only stops
   * waiting for one of an older revision.
   */
  readonly #calls = new Map<string, AbortController>();
  readonly #running = new Set<Promise<void>>();
  /** Those of `#running` that end only by being cancelled. */
  readonly #endless = new Set<Promise<void>>();
  readonly #onStdoutError: (error: Error) => void;
  #written: Promise<void> = Promise.resolve();

  constructor(options: BridgeOptions, signal: AbortSignal, onStdoutError: (error: Error) => void) {
    this.#options = options;
    this.#signal = signal;
    this.#onStdoutError = onStdoutError;
    const { route, log } = options;
    this.#listenStreams = new ListenStreams(route);
    this.#session = new BridgeSession({ route, emit: (text) => this.#emit(text), signal, log });
  }

  /** Starts sending one line to the node. Never throws, never waits. */
  take(line: Line): void {
    if (line instanceof Fault) {
      this.#fail(null, unreadable(line));
      return;
    }
    if (line.trim() === "") return;
    const message = parseMessage(line);
    if (message === undefined) {
      this.#fail(null, NOT_JSON);
    } else if (message.method === undefined && !("result" in message) && !("error" in message)) {
      this.#fail(message.id ?? null, NOT_A_MESSAGE);
    } else if (message.method === "notifications/cancelled") {
      this.#cancel(line, message);
    } else if (this.#running.size >= MAX_IN_FLIGHT) {
      this.#fail(idOf(message) ?? null, BUSY, message);
    } else this.#start(line, message);
  }

  #start(line: string, message: Message): void {
    const revision = statelessRevisionOf(message);
    const id = idOf(message);
    const sent = this.#withCancellation(id, (signal) =>
      revision === undefined
        ? this.#session.forward(line, message, signal)
        : this.#call(line, message, revision, signal),
    );
    const done = sent.catch((error: unknown) => {
      // A cancelled call gets no response: the client does not wait for one.
      if (this.#signal.aborted || isAbort(error)) return;
      if (!(error instanceof JsonRpcError)) this.#options.log("warning", `a call failed: ${String(error)}`);
      if (id !== undefined) this.#fail(id, error, message);
    });
    this.#running.add(done);
    if (message.method === LISTEN || message.method === EVENTS_STREAM) this.#endless.add(done);
    done.finally(() => {
      this.#running.delete(done);
      this.#endless.delete(done);
    });
  }

  /** Waits for the responses of running calls, but not for streams that end only by being cancelled. */
  async drain(withinMs: number): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, withinMs);
    const finite = [...this.#running].filter((run) => !this.#endless.has(run));
    await Promise.race([Promise.all(finite), late.promise]);
    clearTimeout(timer);
  }

  /** Cancels all calls, ends the session and closes the route. */
  async close(): Promise<void> {
    for (const call of this.#calls.values()) call.abort();
    await this.#session.close();
    this.#options.route.close();
    await this.#written;
  }

  /** Runs a call with a signal that a cancellation of this id aborts. */
  async #withCancellation(id: MessageId | undefined, run: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (id === undefined) return run(this.#signal);
    const call = new AbortController();
    const key = JSON.stringify(id);
    this.#calls.set(key, call);
    try {
      await run(AbortSignal.any([call.signal, this.#signal]));
    } catch (error) {
      call.signal.throwIfAborted();
      throw error;
    } finally {
      if (this.#calls.get(key) === call) this.#calls.delete(key);
    }
  }

  /** Sends a message of the stateless revision: headers repeat parts of the body, the body stays as it is. */
  async #call(text: string, message: Message, revision: string, signal: AbortSignal): Promise<void> {
    const { route } = this.#options;
    const emit = (answer: string) => this.#emit(answer);
    if (route.hasSeveral && message.method === LISTEN)
      return this.#listenStreams.run({ route, text, message, revision, signal, emit });
    const isDiscovery = route.hasSeveral && message.method === "server/discover";
    const take = async (answer: string, parsed: Message) => {
      if (signal.aborted) return;
      recordPosition(route, parsed);
      await emit(isDiscovery ? withListChanged(answer, true) : answer);
    };
    await sendWithRetry({
      route,
      text,
      message,
      signal,
      onUnavailable: emit,
      attempt: async (member, sent, either, judge) => {
        const response = await post(member.send, sent, statelessHeaders(message, revision), either);
        await readResponses(response, idOf(message), take, judge);
      },
    });
  }

  /** Cancels a call. A node with a session learns of it by the client's message, which is sent first. */
  #cancel(line: string, message: Message): void {
    const call = this.#calls.get(JSON.stringify(message.params?.["requestId"] ?? null));
    const sent = this.#session.hasBegun ? this.#session.forward(line, message, this.#signal) : Promise.resolve();
    sent
      .catch((error: unknown) => this.#options.log("debug", `a cancellation was lost: ${String(error)}`))
      .finally(() => call?.abort());
  }

  /** Responds to a request that failed here: to a tool call with a result, which the model sees. */
  #fail(id: MessageId | null, error: unknown, asked?: Message): void {
    const failure =
      error instanceof JsonRpcError ? error : new JsonRpcError(-32603, `The bridge failed: ${String(error)}`, {});
    const result = asked === undefined ? undefined : failedCall(asked, failure);
    const { code, message, data } = failure;
    this.#emit(JSON.stringify({ jsonrpc: "2.0", id, ...(result ? { result } : { error: { code, message, data } }) }));
  }

  /**
   * Writes one whole line, after the one before. Resolves when it is taken, so that a slow client slows reading down.
   */
  #emit(text: string): Promise<void> {
    this.#written = this.#written.then(() => this.#write(`${text}\n`));
    return this.#written;
  }

  #write(line: string): Promise<void> {
    if (this.#signal.aborted) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const done = () => {
      this.#signal.removeEventListener("abort", done);
      resolve();
    };
    this.#signal.addEventListener("abort", done, { once: true });
    this.#options.stdout.write(line, (error) => {
      if (error) this.#onStdoutError(error);
      done();
    });
    return promise;
  }
}

/** Returns the error for a line that has no text. */
function unreadable({ code, message, hint = "" }: Fault): JsonRpcError {
  return new JsonRpcError(code === "too_large" ? -32600 : -32700, message, { hint });
}

function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
