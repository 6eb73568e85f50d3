// How one request reaches a node: through its socket on this machine, its URL, or the egress of a tailnet node of our
// own. Whether a failed request is sent again is decided in retry.ts.

import type { NodeAddress } from "../config/node-address.ts";
import { directFetch } from "../lib/direct-fetch.ts";
import { EGRESS_REFUSAL_HEADER } from "../lib/egress-refusal.ts";
import { parseObject } from "../lib/json-object.ts";
import { NotSentError, OutcomeUnknownError, sendErrorOf } from "./errors.ts";

/** A node that is reached through the egress of a tailnet node of our own (native/PROTOCOL.md). */
export interface EgressAddress {
  /** Path of `egress.sock`. */
  egress: string;
  secret: string;
  /** `http://cairn`: the node's origin on the tailnet. */
  base: string;
}

/** Any address of a node, with the preset of MCP that the agent asked for; left out: that of `/mcp`. */
export type BridgeAddress = (NodeAddress | EgressAddress) & { preset?: string };

/** Where the messages of the agent go. */
export const MCP_PATH = "/mcp";
/** Where the bridge's own messages go: the preset of the agent may lack the tools that these call. */
export const OWN_MCP_PATH = "/mcp/all";

/** Returns the address to use for one request; it may change between requests. */
export type AddressSource = () => BridgeAddress | Promise<BridgeAddress>;

/** A request, as far as the bridge makes any. */
export interface RequestOptions {
  method: string;
  headers?: Record<string, string>;
  body?: string;
  signal: AbortSignal;
}

/** Sends a request to one node. Rejects with NotSentError, OutcomeUnknownError, or the signal's reason. */
export type Send = (path: string, options: RequestOptions) => Promise<Response>;

/** Statuses of a node, or of a proxy in front of it, that refuse the caller altogether. */
export const REFUSED_STATUSES: ReadonlySet<number> = new Set([401, 403, 421]);

/** Sends one request to an address. Rejects as `Send` does. */
export async function send(address: BridgeAddress, asked: string, options: RequestOptions): Promise<Response> {
  const common = { ...options, redirect: "manual" } as const;
  const { preset } = address;
  const path = asked === MCP_PATH && preset !== undefined ? `${asked}?preset=${encodeURIComponent(preset)}` : asked;
  let response: Response;
  try {
    response = await fetchAt(address, path, common);
  } catch (error) {
    options.signal.throwIfAborted();
    throw sendErrorOf(error);
  }
  return "egress" in address ? reached(response) : response;
}

function fetchAt(
  address: BridgeAddress,
  path: string,
  request: RequestOptions & { redirect: "manual" },
): Promise<Response> {
  if ("egress" in address) {
    const { host, protocol } = new URL(address.base);
    const headers = {
      ...request.headers,
      "cairn-internal-secret": address.secret,
      "cairn-internal-scheme": protocol.slice(0, -1),
    };
    // Plain HTTP up to the socket; behind it the header decides whether TLS is used.
    return directFetch(`http://${host}${path}`, { ...request, headers, unix: address.egress, keepalive: false });
  }
  if ("url" in address) return directFetch(`${address.url}${path}`, request);
  // A kept-alive connection to a node that has restarted fails a call that was never seen; a new one is cheap here.
  return directFetch(`http://cairn${path}`, { ...request, unix: address.socketPath, keepalive: false });
}

/** Returns a response of the node. Rejects where our own egress made it, since the node could not be reached. */
async function reached(response: Response): Promise<Response> {
  const refusal = response.headers.get(EGRESS_REFUSAL_HEADER);
  if (refusal !== "dial_failed" && refusal !== "exchange_failed") return response;
  const { detail } = parseObject(await response.text()) ?? {};
  const why = typeof detail === "string" ? detail : refusal;
  throw refusal === "dial_failed" ? new NotSentError(why) : new OutcomeUnknownError(why);
}

/** Returns a `fetch` for the SDK's HTTP transport that sends every request to this node. Rejects as `Send` does. */
export function fetchThrough(address: AddressSource) {
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

/** Returns an address as people write it. */
export function nameOf(address: BridgeAddress): string {
  if ("egress" in address) return address.base;
  return "url" in address ? address.url : address.socketPath;
}
