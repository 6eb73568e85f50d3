// Responses with a page, and the headers around every response.
/** @jsxImportSource hono/jsx */

import type { Child } from "hono/jsx";
import { FAULTS, type Fault } from "../lib/fault.ts";
import { ErrorPage } from "./error-page.tsx";
import { CONTENT_SECURITY_POLICY, Document, type Frame } from "./frame.tsx";

/** Of every response (security.md 15). */
export const HEADERS: Readonly<Record<string, string>> = {
  "Content-Security-Policy": CONTENT_SECURITY_POLICY,
  "X-Content-Type-Options": "nosniff",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "same-origin",
  "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
  "Cache-Control": "private, no-cache",
};

/** Half a year, for this name alone: a tailnet that gives certificates up waits that long, or browsers are cleared. */
export const STRICT_TRANSPORT = "max-age=15552000";

interface Around {
  method: string;
  headers: Readonly<Record<string, string>>;
}

/** Returns a page in its frame; without a body for HEAD. */
export function pageResponse(
  { method, status, headers }: Around & { status: number },
  frame: Frame,
  body: Child,
): Response {
  const text = `<!doctype html>${<Document frame={frame}>{body}</Document>}`;
  return new Response(method === "HEAD" ? null : text, {
    status,
    headers: { ...headers, "Content-Type": "text/html; charset=utf-8" },
  });
}

/** What the page of a Fault says. */
export interface Failure extends Pick<Frame, "links" | "version"> {
  fault: Fault;
  /** The caller's name. */
  caller: string;
}

/** Returns a Fault as a page. */
export function errorResponse({ method, headers }: Around, { fault, caller, ...frame }: Failure): Response {
  const { status, title } = FAULTS[fault.code];
  const allow: Record<string, string> = fault.code === "method_not_allowed" ? { Allow: "GET, HEAD" } : {};
  const retry: Record<string, string> = status === 503 || status === 429 ? { "Retry-After": "2" } : {};
  return pageResponse(
    { method, status, headers: { ...headers, ...allow, ...retry } },
    { ...frame, title, node: "cairn" },
    <ErrorPage fault={fault} caller={caller} />,
  );
}
