// Faults as problem documents (RFC 9457): the only place that makes an HTTP response of a Fault.

import { FAULTS, type Fault } from "../lib/fault.ts";
import { PROBLEM_TYPE, problemOf } from "../lib/problem.ts";

/** Returns a problem document of a Fault. */
export function problemResponse(fault: Fault, headers: Record<string, string> = {}): Response {
  const { status, retryable } = FAULTS[fault.code];
  const extra: Record<string, string> = { ...headers };
  const retryAfter = fault.details["retryAfterSeconds"];
  if (retryable && (status === 429 || status === 503))
    extra["Retry-After"] = String(typeof retryAfter === "number" ? retryAfter : 1);
  const etag = fault.details["etag"];
  if (typeof etag === "string") extra["ETag"] = `"${etag}"`;
  const { allow, accept_patch: acceptPatch } = fault.details;
  if (typeof allow === "string") extra["Allow"] = allow;
  if (typeof acceptPatch === "string") extra["Accept-Patch"] = acceptPatch;
  return new Response(JSON.stringify(problemOf(fault)), {
    status,
    headers: { ...SAFE_HEADERS, ...extra, "Content-Type": PROBLEM_TYPE },
  });
}

/** Headers of every response: a browser must treat stored text as nothing but text (security.md 15). */
export const SAFE_HEADERS: Readonly<Record<string, string>> = {
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "same-origin",
  "Cache-Control": "private, no-cache",
};
