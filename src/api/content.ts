// Responses with content: safe headers, the content coding with its ETag suffix, 304, and the length for HEAD. Errors
// are problem.ts.

import { matchesWeakly, parseCondition } from "../lib/etag.ts";
import type { Answer } from "../operation/answer.ts";
import { encode, MIN_CODED_BYTES, negotiateCoding } from "./coding.ts";
import { SAFE_HEADERS } from "./problem.ts";

/** What a response says. */
export interface Content {
  text: string;
  /** Media type as it is sent. */
  type: string;
  status?: number;
  headers?: Record<string, string>;
  /** The ETag without quotes and suffix. */
  etag?: string;
  /** Whether If-None-Match of the request is judged: only where the ETag changes with every change of the content. */
  conditional?: boolean;
}

/** Returns content in the coding that the request asks for. Fault `invalid_input` for a condition that is no list. */
export async function contentResponse(request: Request, content: Content): Promise<Response> {
  const { text, status = 200, etag } = content;
  const wanted = negotiateCoding(request.headers.get("accept-encoding"));
  const coding = wanted !== undefined && Buffer.byteLength(text, "utf8") >= MIN_CODED_BYTES ? wanted : undefined;
  const headers: Record<string, string> = { ...SAFE_HEADERS, Vary: "Accept-Encoding", ...content.headers };
  if (etag !== undefined) headers["ETag"] = `"${etag}${coding === undefined ? "" : `+${coding}`}"`;
  if (content.conditional === true && etag !== undefined && isKnown(request, etag)) {
    return new Response(null, { status: 304, headers });
  }
  headers["Content-Type"] = content.type;
  if (coding !== undefined) headers["Content-Encoding"] = coding;
  const body = coding === undefined ? text : await encode(coding, Buffer.from(text, "utf8"));
  if (request.method !== "HEAD") return new Response(body, { status, headers });
  headers["Content-Length"] = String(typeof body === "string" ? Buffer.byteLength(body, "utf8") : body.byteLength);
  return new Response(null, { status, headers });
}

/** Returns the headers with the position of an answer, and its age where one is proved (replication.md 28). */
export function freshnessOf({ position, cache, ageSeconds }: Answer): Record<string, string> {
  const age = cache?.ageSeconds ?? ageSeconds;
  return {
    "Cairn-Position": position,
    ...(cache === undefined ? {} : { "Cairn-Cache": cache.state }),
    // Whole seconds (RFC 9111), rounded up: never younger than it is.
    ...(age === undefined ? {} : { Age: String(Math.ceil(age)) }),
  };
}

/** Returns a value as JSON. */
export function jsonResponse(
  request: Request,
  value: unknown,
  content: Omit<Content, "text" | "type"> = {},
): Promise<Response> {
  return contentResponse(request, { ...content, text: JSON.stringify(value), type: "application/json" });
}

function isKnown(request: Request, etag: string): boolean {
  const ifNoneMatch = request.headers.get("if-none-match");
  return ifNoneMatch !== null && matchesWeakly(parseCondition(ifNoneMatch, "If-None-Match"), etag);
}
