// How a node is reached: its socket on this machine, its URL, or the egress of a tailnet node of our own. One request, its answer, and what a failure means: never sent, or lost.

import type { NodeAddress } from "../config/node-address.ts";
import { readEvents } from "../lib/server-sent-events.ts";
import { isUnavailable, LinkError, MAX_MESSAGE, type MessageId, oneLine, parseMessage, type Take } from "./message.ts";

/** A node that is reached through the egress of a tailnet node of our own (native/PROTOCOL.md). */
export interface EgressAddress {
  /** Path of `egress.sock`. */
  egress: string;
  secret: string;
  /** `http://cairn`, as the tailnet calls the node. */
  base: string;
}

/** Any way to a node. */
export type BridgeAddress = NodeAddress | EgressAddress;

export interface Init {
  method: string;
  headers?: Record<string, string>;
  body?: string;
  signal: AbortSignal;
}

/** The node was not asked: nothing answered, or it takes nothing any more. The same may be sent again, here or elsewhere. */
export class NotSent extends Error {
  /** Whether the message says all by itself, without the node's name. */
  readonly whole: boolean;

  constructor(message: string, whole = false) {
    super(message);
    this.whole = whole;
  }
}

/** The node was asked, and its answer never came: what was asked may have been done. */
export class Lost extends Error {}

/** The node answered that it cannot serve the call now. `text` is that answer. */
export class Unserved extends Error {
  readonly text: string;

  constructor(text: string) {
    super("it cannot serve calls now");
    this.text = text;
  }
}

/** What requests can be sent to. */
export interface Sender {
  send(path: string, init: Init): Promise<Response>;
}

/** Sends one request. Rejects with NotSent, Lost, or the abort's reason. */
export async function send(address: BridgeAddress, path: string, init: Init): Promise<Response> {
  const common = { ...init, redirect: "manual" } as const;
  try {
    if ("egress" in address) {
      const { host, protocol } = new URL(address.base);
      const headers = {
        ...init.headers,
        "cairn-internal-secret": address.secret,
        "cairn-internal-scheme": protocol.slice(0, -1),
      };
      // The scheme is the header's: TLS begins behind the socket.
      return await fetch(`http://${host}${path}`, { ...common, headers, unix: address.egress, keepalive: false });
    }
    if ("url" in address) return await fetch(`${address.url}${path}`, common);
    // A kept connection to a node that restarted would fail a call that was never seen; on a socket a new one costs nothing.
    return await fetch(`http://cairn${path}`, { ...common, unix: address.socketPath, keepalive: false });
  } catch (error) {
    init.signal.throwIfAborted();
    throw wasNeverSent(error) ? new NotSent(reasonOf(error)) : new Lost(reasonOf(error));
  }
}

/** A `fetch` that goes to this node, for the SDK's own transport; rejects as `send` does. */
export function fetchBy(address: () => BridgeAddress | Promise<BridgeAddress>) {
  return async (url: string | URL, { method = "GET", headers, body, signal }: RequestInit = {}): Promise<Response> => {
    const { pathname, search } = new URL(url);
    return send(await address(), `${pathname}${search}`, {
      method,
      headers: Object.fromEntries(new Headers(headers)),
      ...(typeof body === "string" ? { body } : {}),
      signal: signal ?? new AbortController().signal,
    });
  };
}

/** POSTs one message to `/mcp`. Rejects as `send` does; a node that takes nothing any more, and an egress that finds no way, are NotSent. */
export async function post(
  to: Sender,
  text: string,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<Response> {
  const wanted = { ...headers, "content-type": "application/json", accept: "application/json, text/event-stream" };
  const response = await to.send("/mcp", { method: "POST", headers: wanted, body: text, signal });
  if (response.status !== 503) return response;
  // Only a node that takes nothing any more answers so; the message was not looked at.
  await response.body?.cancel();
  throw new NotSent("it is stopping or not ready");
}

/**
 * Hands each message of the answer to `take`. Throws LinkError when the node refused, Lost when the response to `id` never came,
 * and with `elsewhere` Unserved in place of a response that says `unavailable`.
 */
export async function answers(
  response: Response,
  id: MessageId | undefined,
  take: Take,
  elsewhere = false,
): Promise<void> {
  let answered = id === undefined;
  const pass = async (text: string) => {
    const message = parseMessage(text);
    if (message === undefined)
      throw new LinkError(-32603, `The node sent what is no JSON-RPC message (${response.status})`, {});
    if (message.method === undefined && message.id === id) {
      if (elsewhere && isUnavailable(message)) throw new Unserved(oneLine(text));
      answered = true;
    }
    await take(oneLine(text), message);
  };
  const type = response.headers.get("content-type") ?? "";
  try {
    if (response.ok && type.startsWith("text/event-stream") && response.body !== null) {
      for await (const event of readEvents(response.body, MAX_MESSAGE)) if (event.data !== "") await pass(event.data);
    } else {
      const text = await response.text();
      if (!response.ok) return await refused(response.status, text, id, take);
      if (text !== "") await pass(text);
    }
  } catch (error) {
    throw error instanceof LinkError || error instanceof Unserved ? error : new Lost(reasonOf(error));
  }
  if (!answered) throw new Lost("the stream ended before the answer");
}

/** Statuses of a node, or of what stands in front of it, that refuse the caller altogether (security.md 1, 12). */
export const SHUT_OUT: ReadonlySet<number> = new Set([401, 403, 421]);

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

/** What people call an address. */
export function nameOf(address: BridgeAddress): string {
  if ("egress" in address) return address.base;
  return "url" in address ? address.url : address.socketPath;
}

/** Why something failed, for people. */
export function reasonOf(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  return REASONS[codeOf(cause)] ?? message;
}

/** What Bun says of connections is for those who call fetch. */
const REASONS: Readonly<Record<string, string>> = {
  ConnectionRefused: "the connection was refused",
  ECONNREFUSED: "the connection was refused",
  ECONNRESET: "the connection broke",
  ConnectionClosed: "the connection broke",
  FailedToOpenSocket: "the socket cannot be opened",
  ENOENT: "there is no such socket",
};

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

function wasNeverSent(error: unknown): boolean {
  return ["ConnectionRefused", "FailedToOpenSocket", "ECONNREFUSED", "ENOENT"].includes(codeOf(error));
}
