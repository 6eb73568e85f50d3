// What a node says to the member that it passes a request to: who calls, and how the caller reached the fleet.

import type { Caller } from "../../access/caller.ts";
import { requestHeaders } from "./http-headers.ts";

/** Who calls, from the member that passes a request on. It is believed of members alone, and capped by their role. */
export const CALLER_HEADER = "cairn-service-caller";
/** Whether the caller may only read here. */
export const READ_ONLY_HEADER = "cairn-service-read-only";
/** How the caller reached the fleet. Between members under names of Cairn: others say X-Forwarded-* of their own. */
export const HOST_HEADER = "cairn-service-host";
/** The scheme beside it. */
export const SCHEME_HEADER = "cairn-service-scheme";

/** The member that has a service, from one that was asked by an edge and does not have it. */
export const HOLDER_HEADER = "cairn-service-node";

/** Returns the headers of a request that is passed on. */
export function passedHeaders(request: Request, { caller, scheme }: { caller: Caller; scheme: string }): Headers {
  const headers = requestHeaders(request.headers);
  headers.set(CALLER_HEADER, caller.id);
  headers.set(HOST_HEADER, new URL(request.url).host);
  headers.set(SCHEME_HEADER, scheme);
  if (caller.readOnly === true) headers.set(READ_ONLY_HEADER, "1");
  return headers;
}
