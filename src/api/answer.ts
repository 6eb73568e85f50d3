// Answers with a body: safe headers, the content coding with its ETag suffix, 304, and what HEAD gets in place of the body. Errors are problem.ts.

import { matchesWeakly, parseCondition } from "../lib/etag.ts";
import type { Answer } from "../operation/answer.ts";
import { encode, MIN_CODED_BYTES, negotiateCoding } from "./coding.ts";
import { SAFE_HEADERS } from "./problem.ts";

export interface Content {
  text: string;
  /** Media type as it is sent. */
  type: string;
  status?: number;
  headers?: Record<string, string>;
  /** The ETag without quotes and suffix. */
  etag?: string;
  /** Whether If-None-Match of the request is judged: only where the ETag says everything about the content. */
  conditional?: boolean;
}

/** The answer in the coding that the request asks for. Fault `invalid_input` for a condition that cannot be read. */
export async function answer(request: Request, content: Content): Promise<Response> {
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

/** Where an answer stands: its position, and how old it may be where it is not the leader's (architecture.md 8). */
export function freshnessOf({ position, cache, ageSeconds }: Answer): Record<string, string> {
  const age = cache?.ageSeconds ?? ageSeconds;
  return {
    "Cairn-Position": position,
    ...(cache === undefined ? {} : { "Cairn-Cache": cache.state }),
    // A whole number (RFC 9111): rounded up, so that it never says less than it is.
    ...(age === undefined ? {} : { Age: String(Math.ceil(age)) }),
  };
}

/** An answer in JSON. */
export function answerJson(
  request: Request,
  value: unknown,
  content: Omit<Content, "text" | "type"> = {},
): Promise<Response> {
  return answer(request, { ...content, text: JSON.stringify(value), type: "application/json" });
}

function isKnown(request: Request, etag: string): boolean {
  const ifNoneMatch = request.headers.get("if-none-match");
  return ifNoneMatch !== null && matchesWeakly(parseCondition(ifNoneMatch, "If-None-Match"), etag);
}
