// Responses with a page, and the headers around every response.
/** @jsxImportSource hono/jsx */

import type { Child } from "hono/jsx";
import { FAULTS, type Fault } from "../lib/fault.ts";
import { JSON_TYPE } from "../lib/media-type.ts";
import { PROBLEM_TYPE, problemOf } from "../lib/problem.ts";
import { ErrorPage } from "./error-page.tsx";
import { Document, type Frame, policyWith, type Shell } from "./frame.tsx";
import type { BarLink } from "./site.ts";

/** Half a year, for this name alone: a tailnet that gives certificates up waits that long, or browsers are cleared. */
const STRICT_TRANSPORT = "max-age=15552000";

/** A request, as far as every response depends on it. */
export interface Around {
  method: string;
  headers: Readonly<Record<string, string>>;
  /** JSON is wanted in place of a page. */
  isJson: boolean;
  /** Links of the bar to pages that the caller may see. */
  links: readonly BarLink[];
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
      Vary: "Accept",
    };
  }

  /** Returns the headers that every response to a request by this scheme has. */
  headers(scheme: "http" | "https"): Readonly<Record<string, string>> {
    return scheme === "https" ? { ...this.#headers, "Strict-Transport-Security": STRICT_TRANSPORT } : this.#headers;
  }

  /** Returns a page in its frame; without a body for HEAD. */
  page({ method, headers, links }: Around, frame: Omit<Frame, "links">, body: Child, status = 200): Response {
    const text = `<!doctype html>${(
      <Document shell={this.#shell} frame={{ ...frame, links }}>
        {body}
      </Document>
    )}`;
    const policy = frame.charts === true ? { "Content-Security-Policy": policyWith(this.#shell.style, true) } : {};
    return new Response(method === "HEAD" ? null : text, {
      status,
      headers: { ...headers, ...policy, "Content-Type": "text/html; charset=utf-8" },
    });
  }

  /** Returns JSON; without a body for HEAD. */
  json(
    { method, headers }: Pick<Around, "method" | "headers">,
    value: unknown,
    { status = 200, type = JSON_TYPE } = {},
  ): Response {
    return new Response(method === "HEAD" ? null : JSON.stringify(value), {
      status,
      headers: { ...headers, "Content-Type": type },
    });
  }

  /** Returns a Fault as a page, or as a problem document; `caller` is the name of the caller. */
  fault({ method, headers, isJson, links }: Around, fault: Fault, caller: string): Response {
    const { status, title } = FAULTS[fault.code];
    const allow: Record<string, string> = fault.code === "method_not_allowed" ? { Allow: "GET, HEAD" } : {};
    const retry: Record<string, string> = status === 503 || status === 429 ? { "Retry-After": "2" } : {};
    const around = { method, headers: { ...headers, ...allow, ...retry }, isJson, links };
    if (isJson) return this.json(around, problemOf(fault), { status, type: PROBLEM_TYPE });
    return this.page(around, { title, node: "cairn" }, <ErrorPage fault={fault} caller={caller} />, status);
  }
}
