// Which methods each path has: for OPTIONS, and for `Allow` of a refused method (RFC 9110 9.3.7, 10.2.1; RFC 5789 3.1). Says nothing about what exists.

import { Fault } from "../lib/fault.ts";
import { ACCEPT_PATCH, METHODS_OF, placeOf } from "./places.ts";
import { problemResponse, SAFE_HEADERS } from "./problem.ts";

const ROUTES: ReadonlyArray<readonly [RegExp, string]> = [
  [/^\/(contexts|changes|health|ready|metrics|openapi\.json|\.well-known\/cairn)$/, "GET, HEAD, OPTIONS"],
  [/^\/operations\/[^/]+$/, "POST, OPTIONS"],
];

/** The methods of a path in the words of `Allow`; undefined where there is no route. */
export function allowedAt(url: string): string | undefined {
  const placed = placeOf(url);
  if (placed !== undefined) return METHODS_OF[placed.place];
  const { pathname } = new URL(url);
  return ROUTES.find(([route]) => route.test(pathname))?.[1];
}

/** 204 with `Allow`, and `Accept-Patch` where PATCH is. */
export function optionsAnswer(request: Request): Response {
  const allow = allowedAt(request.url);
  if (allow === undefined) {
    return problemResponse(
      new Fault("not_found", "There is no such route", { hint: "GET /openapi.json lists the routes." }),
    );
  }
  const patch: Record<string, string> = allow.includes("PATCH") ? { "Accept-Patch": ACCEPT_PATCH } : {};
  return new Response(null, { status: 204, headers: { ...SAFE_HEADERS, Allow: allow, ...patch } });
}
