// Requests to programs of this machine: on 127.0.0.1 alone, at a port that a service declares (security.md 19).

import { type DialedSocket, dialSocket, type SocketDial } from "../../lib/dialed-socket.ts";
import { directFetch } from "../../lib/direct-fetch.ts";

/** What is sent. */
export interface LoopbackRequest {
  method: string;
  headers?: Headers;
  body?: Uint8Array;
  signal: AbortSignal;
}

/** Sends a request to a port of 127.0.0.1. `path` begins with `/`. Redirects are not followed, bodies not decoded. */
export function fetchLoopback(
  port: number,
  path: string,
  { method, headers, body, signal }: LoopbackRequest,
): Promise<Response> {
  const more = { ...(headers === undefined ? {} : { headers }), ...(body === undefined ? {} : { body }) };
  const init = { ...more, method, signal, redirect: "manual", decompress: false, keepalive: false } as const;
  return directFetch(`http://127.0.0.1:${port}${path}`, init);
}

/** Opens a WebSocket to a port of 127.0.0.1. Resolves with the answer that refuses the handshake. */
export function socketLoopback(
  port: number,
  { headers: given, ...more }: Omit<SocketDial, "at">,
): Promise<DialedSocket | Response> {
  const headers = new Headers(given);
  headers.set("host", `127.0.0.1:${port}`);
  return dialSocket({ at: { loopbackPort: port }, headers, ...more });
}
