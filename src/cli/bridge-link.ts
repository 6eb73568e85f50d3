// The HTTP half of `cairn bridge`: one JSON-RPC message out, its answers back, and every failure as an error that says what to do.

import { FAULTS, Fault } from "../lib/fault.ts";
import { readEvents } from "../lib/server-sent-events.ts";
import type { NodeAddress } from "./client.ts";

/** Longest message either way, in characters. */
export const MAX_MESSAGE = 16 * 1024 * 1024;
/** A node that restarts is waited for this long before a call fails. */
const CONNECT_MS = 3000;
const RETRY_MS = 100;

/** A node that is reached through the egress of a tailnet node of our own (native/PROTOCOL.md). */
export interface EgressAddress {
  /** Path of `egress.sock`. */
  egress: string;
  secret: string;
  /** `http://cairn`, as the tailnet calls the node. */
  base: string;
}

export type BridgeAddress = NodeAddress | EgressAddress;

export type MessageId = string | number;

/** A JSON-RPC message as far as the bridge looks at it. */
export interface Message {
  id?: MessageId | null;
  method?: string;
  params?: Record<string, unknown>;
  result?: Record<string, unknown>;
  error?: unknown;
}

/** Gets one message as text on one line, and parsed; the next waits until it is done. */
export type Take = (text: string, message: Message) => void | Promise<void>;

/** A failure to tell the client, as the `error` of a JSON-RPC response. Codes of our own are HTTP statuses. */
export class LinkError extends Error {
  readonly code: number;
  readonly data: Record<string, unknown>;

  constructor(code: number, message: string, data: Record<string, unknown>) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

export class Link {
  readonly #address: () => BridgeAddress | Promise<BridgeAddress>;
  #place = "its socket";

  /** `address` is asked for each request: the node may start, or move its socket, after the bridge. Its Fault says why there is none. */
  constructor(address: () => BridgeAddress | Promise<BridgeAddress>) {
    this.#address = address;
  }

  /** POSTs one message as it came. Rejects with LinkError; tries again for CONNECT_MS where the node is away or just stopping. */
  async post(text: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    const wanted = { ...headers, "content-type": "application/json", accept: "application/json, text/event-stream" };
    const deadline = performance.now() + CONNECT_MS;
    for (;;) {
      const late = performance.now() > deadline;
      try {
        const response = await this.#send({ method: "POST", headers: wanted, body: text, signal });
        // Only a node that takes nothing any more answers so; the message was not looked at.
        if (response.status !== 503 || late) return response;
        await response.body?.cancel();
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof Fault && error.code !== "not_running") throw linkErrorOf(error);
        if (!wasNeverSent(error)) throw this.#lost(error);
        if (late) throw this.#away(error);
      }
      await pause(RETRY_MS, signal);
    }
  }

  /** GET for the stream of a session, or DELETE to end it. */
  async request(method: "GET" | "DELETE", headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    return this.#send({ method, headers: { ...headers, accept: "text/event-stream" }, signal });
  }

  async #send(init: {
    method: string;
    headers: Record<string, string>;
    body?: string;
    signal: AbortSignal;
  }): Promise<Response> {
    const address = await this.#address();
    const common = { ...init, redirect: "manual" } as const;
    if ("egress" in address) {
      this.#place = address.base;
      const { host, protocol } = new URL(address.base);
      const headers = {
        ...init.headers,
        "cairn-internal-secret": address.secret,
        "cairn-internal-scheme": protocol.slice(0, -1),
      };
      // The scheme is the header's: TLS begins behind the socket.
      return fetch(`http://${host}/mcp`, { ...common, headers, unix: address.egress, keepalive: false });
    }
    if ("url" in address) {
      this.#place = address.url;
      return fetch(`${address.url}/mcp`, common);
    }
    this.#place = address.socketPath;
    // A kept connection to a node that restarted would fail a call that was never seen; on a socket a new one costs nothing.
    return fetch("http://cairn/mcp", { ...common, unix: address.socketPath, keepalive: false });
  }

  #away(cause: unknown): LinkError {
    const why = cause instanceof Fault ? cause.message : `No cairn node answers at ${this.#place} (${reasonOf(cause)})`;
    return new LinkError(503, why, {
      code: "not_running",
      hint: "Start the node with `cairn serve` (from source: `npm start`), then try again.",
      retryable: true,
    });
  }

  #lost(cause: unknown): LinkError {
    return new LinkError(503, `The connection to the cairn node at ${this.#place} broke (${reasonOf(cause)})`, {
      code: "unavailable",
      hint: "The call may have been done. Read before you write again, or repeat it with the same idempotency_key.",
      retryable: true,
    });
  }

  /** Hands each message of the answer to `take`. Throws LinkError when the node refused, or when the response to `id` never came. */
  async answers(response: Response, id: MessageId | undefined, take: Take): Promise<void> {
    let answered = id === undefined;
    const pass = async (text: string) => {
      const message = parseMessage(text);
      if (message === undefined)
        throw new LinkError(-32603, `The node sent what is no JSON-RPC message (${response.status})`, {});
      if (message.method === undefined && message.id === id) answered = true;
      await take(oneLine(text), message);
    };
    const type = response.headers.get("content-type") ?? "";
    try {
      if (response.ok && type.startsWith("text/event-stream") && response.body !== null) {
        for await (const event of readEvents(response.body, MAX_MESSAGE)) if (event.data !== "") await pass(event.data);
      } else {
        const text = await response.text();
        if (!response.ok) {
          answered = true;
          return await refused(response.status, text, id, take);
        }
        if (text !== "") await pass(text);
      }
    } catch (error) {
      throw error instanceof LinkError ? error : this.#lost(error);
    }
    if (!answered) throw this.#lost("the stream ended before the answer");
  }
}

/** A refusal by HTTP status: a JSON-RPC error goes on under the id of its request, a problem document becomes one. */
async function refused(status: number, text: string, id: MessageId | undefined, take: Take): Promise<void> {
  const body = parseMessage(text);
  if (body?.error !== undefined && typeof body.error === "object" && body.error !== null) {
    const message = { jsonrpc: "2.0", id: body.id ?? id ?? null, error: body.error };
    await take(JSON.stringify(message), message);
    return;
  }
  const problem: Record<string, unknown> = body === undefined ? {} : { ...body };
  const detail =
    typeof problem["detail"] === "string" ? problem["detail"] : `the node answered with HTTP status ${status}`;
  throw new LinkError(status, detail, problem);
}

/** The message in a text, or undefined where it is no JSON object. */
export function parseMessage(text: string): Message | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Waits; rejects when the signal aborts. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}

/** Newlines in JSON text are only ever space between tokens. */
function oneLine(text: string): string {
  return text.replace(/[\r\n]+/g, " ");
}

/** Why there is no way to the node, for the client. */
function linkErrorOf(fault: Fault): LinkError {
  const { status, retryable } = FAULTS[fault.code];
  return new LinkError(status, fault.message, { code: fault.code, hint: fault.hint ?? "", retryable });
}

function wasNeverSent(error: unknown): boolean {
  if (error instanceof Fault) return error.code === "not_running";
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return ["ConnectionRefused", "FailedToOpenSocket", "ECONNREFUSED", "ENOENT"].includes(code);
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
