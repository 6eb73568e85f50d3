// Responses with a page, and the headers around every response.
/** @jsxImportSource hono/jsx */

import type { Child } from "hono/jsx";
import { FAULTS, type Fault } from "../lib/fault.ts";
import { ErrorPage } from "./error-page.tsx";
import { Document, type Frame, policyWith, type Shell } from "./frame.tsx";

/** Half a year, for this name alone: a tailnet that gives certificates up waits that long, or browsers are cleared. */
const STRICT_TRANSPORT = "max-age=15552000";

/** A request, as far as every response depends on it. */
export interface Around {
  method: string;
  headers: Readonly<Record<string, string>>;
}

/** Makes the responses of one node. */
export class Responses {
  readonly #shell: Shell;
  /** Of every response (security.md 15). */
  readonly #headers: Readonly<Record<string, string>>;

  constructor(shell: Shell) {
    this.#shell = shell;
    this.#headers = {
      "Content-Security-Policy": policyWith(shell.style),
      "X-Content-Type-Options": "nosniff",
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Resource-Policy": "same-origin",
      "Referrer-Policy": "same-origin",
      "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
      "Cache-Control": "private, no-cache",
    };
  }

  /** Returns the headers that every response to a request by this scheme has. */
  headers(scheme: "http" | "https"): Readonly<Record<string, string>> {
    return scheme === "https" ? { ...this.#headers, "Strict-Transport-Security": STRICT_TRANSPORT } : this.#headers;
  }

  /** Returns a page in its frame; without a body for HEAD. */
  page({ method, headers }: Around, frame: Frame, body: Child, status = 200): Response {
    const text = `<!doctype html>${(
      <Document shell={this.#shell} frame={frame}>
        {body}
      </Document>
    )}`;
    return new Response(method === "HEAD" ? null : text, {
      status,
      headers: { ...headers, "Content-Type": "text/html; charset=utf-8" },
    });
  }

  /** Returns a Fault as a page; `caller` is the name of the caller. */
  fault({ method, headers }: Around, fault: Fault, caller: string): Response {
    const { status, title } = FAULTS[fault.code];
    const allow: Record<string, string> = fault.code === "method_not_allowed" ? { Allow: "GET, HEAD" } : {};
    const retry: Record<string, string> = status === 503 || status === 429 ? { "Retry-After": "2" } : {};
    const around = { method, headers: { ...headers, ...allow, ...retry } };
    return this.page(around, { title, node: "cairn" }, <ErrorPage fault={fault} caller={caller} />, status);
  }
}
