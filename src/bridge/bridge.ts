// stdio MCP to a node's /mcp: each line of the client becomes one POST as it is, each answer one line. Both protocol eras, told apart message by message.
// Nothing but protocol is written to stdout. It keeps no state of its own beyond what is in flight and the session of an older client.

import { readLines } from "../lib/read-lines.ts";
import type { LogLine } from "../observe/logging.ts";
import { answers, post } from "./endpoint.ts";
import { LISTEN, Listens } from "./listen.ts";
import {
  idOf,
  LinkError,
  MAX_MESSAGE,
  type Message,
  type MessageId,
  modernHeaders,
  parseMessage,
  versionOf,
} from "./message.ts";
import { carry, note } from "./retry.ts";
import type { Route } from "./route.ts";
import { BridgeSession, withListChanged } from "./session.ts";

export interface BridgeOptions {
  /** Which node is asked; closed with the bridge. */
  route: Route;
  stdin: AsyncIterable<Uint8Array | string>;
  stdout: { write(text: string, done: (error?: Error | null) => void): unknown };
  /** Ends the bridge at once. */
  signal: AbortSignal;
  log: LogLine;
}

/** More calls at a time than this are refused; Bun's own limit of connections is 256. */
const MAX_IN_FLIGHT = 128;
/** After stdin ended, answers still to come are waited for this long. */
const DRAIN_MS = 10_000;

const TOO_LONG = new LinkError(-32600, "The message is too long", { hint: "Send less at once." });
const NO_MESSAGE = new LinkError(-32700, "The line is no JSON object", {
  hint: "Send one JSON-RPC object on one line; batches are not carried.",
});
const NO_METHOD = new LinkError(-32600, "The message is neither a request, a notification nor a response", {
  hint: "A request has jsonrpc, id and method.",
});
const BUSY = new LinkError(429, `${MAX_IN_FLIGHT} calls are in flight`, {
  hint: "Wait for answers before you ask for more.",
  retryable: true,
});

/** Runs until stdin ends or the signal aborts. */
export async function runBridge(options: BridgeOptions): Promise<void> {
  const end = new AbortController();
  const signal = AbortSignal.any([options.signal, end.signal]);
  const bridge = new Bridge(options, signal, (error) => {
    options.log("debug", `stdout is closed: ${error.message}`);
    end.abort();
  });
  try {
    for await (const line of readLines(options.stdin, signal, MAX_MESSAGE)) bridge.take(line);
    if (!signal.aborted) await bridge.drain(DRAIN_MS);
  } finally {
    await bridge.close();
    end.abort();
  }
}

class Bridge {
  readonly #options: BridgeOptions;
  readonly #signal: AbortSignal;
  readonly #listens: Listens;
  readonly #session: BridgeSession;
  /** Calls by id. Aborting one closes its HTTP request: that cancels a modern call, and only stops waiting for an older one. */
  readonly #calls = new Map<string, AbortController>();
  readonly #running = new Set<Promise<void>>();
  readonly #endless = new Set<Promise<void>>();
  readonly #broken: (error: Error) => void;
  #written: Promise<void> = Promise.resolve();

  constructor(options: BridgeOptions, signal: AbortSignal, broken: (error: Error) => void) {
    this.#options = options;
    this.#signal = signal;
    this.#broken = broken;
    const { route, log } = options;
    this.#listens = new Listens(route);
    this.#session = new BridgeSession({ route, emit: (text) => this.#emit(text), signal, log });
  }

  /** Starts carrying one line; never throws and never waits. */
  take(line: string | undefined): void {
    if (line?.trim() === "") return;
    const message = line === undefined ? undefined : parseMessage(line);
    if (message !== undefined && message.method === undefined && !("result" in message) && !("error" in message)) {
      this.#fail(message.id ?? null, NO_METHOD);
      return;
    }
    if (line === undefined || message === undefined) {
      this.#fail(null, line === undefined ? TOO_LONG : NO_MESSAGE);
      return;
    }
    if (message.method === "notifications/cancelled") {
      this.#cancel(line, message);
      return;
    }
    if (this.#running.size >= MAX_IN_FLIGHT) {
      this.#fail(idOf(message) ?? null, BUSY);
      return;
    }
    const version = versionOf(message);
    const id = idOf(message);
    const carried = this.#track(id, (signal) =>
      version === undefined ? this.#session.forward(line, message, signal) : this.#call(line, message, version, signal),
    );
    const done = carried.catch((error: unknown) => {
      // What was cancelled is not answered: the client does not wait for it.
      if (this.#signal.aborted || isAbort(error)) return;
      if (!(error instanceof LinkError)) this.#options.log("warning", `a call failed: ${String(error)}`);
      if (id !== undefined) this.#fail(id, error);
    });
    this.#running.add(done);
    if (message.method === LISTEN) this.#endless.add(done);
    done.finally(() => {
      this.#running.delete(done);
      this.#endless.delete(done);
    });
  }

  /** Waits for the answers of running calls, not for streams that end only by cancelling. */
  async drain(withinMs: number): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, withinMs);
    const finite = [...this.#running].filter((run) => !this.#endless.has(run));
    await Promise.race([Promise.all(finite), late.promise]);
    clearTimeout(timer);
  }

  async close(): Promise<void> {
    for (const call of this.#calls.values()) call.abort();
    await this.#session.close();
    this.#options.route.close();
    await this.#written;
  }

  async #track(id: MessageId | undefined, run: (signal: AbortSignal) => Promise<void>): Promise<void> {
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

  /** A request or notification of the 2026-07-28 revision: headers mirror the body, the body goes as it came. */
  async #call(text: string, message: Message, version: string, signal: AbortSignal): Promise<void> {
    const { route } = this.#options;
    const emit = (answer: string) => this.#emit(answer);
    if (route.several && message.method === LISTEN)
      return this.#listens.carry({ route, text, message, version, signal, emit });
    const discovers = route.several && message.method === "server/discover";
    await carry({
      route,
      text,
      message,
      signal,
      unserved: emit,
      attempt: async (member, sent, either) => {
        const response = await post(member, sent, modernHeaders(message, version), either);
        const take = async (answer: string, parsed: Message) => {
          if (signal.aborted) return;
          note(route, parsed);
          await emit(discovers ? withListChanged(answer, true) : answer);
        };
        await answers(response, idOf(message), take, route.several);
      },
    });
  }

  /** Cancels a call. A node of an older conversation has to be told by the message itself, which goes first. */
  #cancel(line: string, message: Message): void {
    const call = this.#calls.get(JSON.stringify(message.params?.["requestId"] ?? null));
    const told = this.#session.begun ? this.#session.forward(line, message, this.#signal) : Promise.resolve();
    told
      .catch((error: unknown) => this.#options.log("debug", `a cancellation was lost: ${String(error)}`))
      .finally(() => call?.abort());
  }

  #fail(id: MessageId | null, error: unknown): void {
    const { code, message, data } =
      error instanceof LinkError ? error : new LinkError(-32603, `The bridge failed: ${String(error)}`, {});
    this.#emit(JSON.stringify({ jsonrpc: "2.0", id, error: { code, message, data } }));
  }

  /** Writes one whole line after the one before, so that lines never mix. Resolves when it is taken: who reads from the node waits for the client. */
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
      if (error) this.#broken(error);
      done();
    });
    return promise;
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
