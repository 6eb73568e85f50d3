// Requests to /svc/NAME as they come: what they ask for, whether they become WebSockets, their bodies, and the answers
// that callers get.

import { Fault } from "../../lib/fault.ts";
import { type BodyHold, readBytes } from "../../lib/request-body.ts";
import type { Upgrade } from "../../lib/socket.ts";
import { DECLARED_NAME } from "../../operation/declared-kind.ts";
import { answerHeaders } from "./http-headers.ts";

/** Time until the head of an answer of a service, in ms. */
export const ANSWER_MS = 60_000;
/** The same in words. */
export const LATE = `it did not answer within ${ANSWER_MS / 1000} s`;
/** Largest message of a WebSocket in bytes, as the listener takes it. */
export const MESSAGE_BYTES = 2 * 1024 * 1024;

/** A handshake. */
export interface Socket {
  upgrade: Upgrade;
  /** Subprotocols that the caller offers, as the header has them; "": none. */
  protocols: string;
}

/** The place of a request. */
export interface Asked {
  name: string;
  /** What the service is asked for; "": the address lacks the slash behind the name. */
  rest: string;
}

/** Returns what a request asks for. Throws Faults. */
export function askedOf(request: Request): Asked {
  const { pathname } = new URL(request.url);
  const [, name = "", rest = ""] = /^\/svc\/([^/]+)(\/.*)?$/s.exec(pathname) ?? [];
  if (DECLARED_NAME.test(name)) return { name, rest };
  throw new Fault("not_found", `${pathname.slice(0, 100)} names no service`, { hint: "Ask for /svc/NAME/." });
}

/** Returns how a request becomes a WebSocket; undefined where it asks for none. Throws Fault `invalid_input`. */
export function socketOf({ method, headers }: Request, upgrade: Upgrade | undefined): Socket | undefined {
  const wanted = headers.get("upgrade");
  if (wanted === null) return undefined;
  const isSocket =
    wanted.toLowerCase() === "websocket" && method === "GET" && headers.get("sec-websocket-key") !== null;
  if (upgrade !== undefined && isSocket && headers.get("sec-websocket-version") === "13")
    return { upgrade, protocols: headers.get("sec-websocket-protocol") ?? "" };
  throw notUpgraded();
}

/** The refusal of what is no handshake of a WebSocket. */
export function notUpgraded(): Fault {
  return new Fault("invalid_input", "Connections to services become WebSockets and nothing else", {
    hint: "Use a WebSocket client of RFC 6455, version 13, or ask by plain HTTP.",
    details: { field: "upgrade" },
  });
}

/** Reads the body of a request whole; undefined: it has none. */
export async function bodyOf(request: Request, hold: BodyHold): Promise<Uint8Array | undefined> {
  if (request.method === "GET" || request.method === "HEAD" || request.body === null) return undefined;
  return readBytes(request, hold, hold.maxBytes);
}

/** Returns the way to the path of the service where the address lacks the slash behind its name. */
export function withoutSlash(request: Request, { name }: Asked): Response {
  return Response.redirect(`/svc/${name}/${new URL(request.url).search}`, 308);
}

/** Returns an answer as the caller gets it. */
export function answered({ body, status, headers }: Response): Response {
  return new Response(body, { status, headers: answerHeaders(headers) });
}
