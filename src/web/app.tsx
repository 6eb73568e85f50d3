// The pages (architecture.md 8): one at /, one for each context, and the stream that keeps them fresh. GET only; nothing here changes anything, and no rule stands here: invoke decides with the caller's rights.
/** @jsxImportSource hono/jsx */

import type { Child } from "hono/jsx";
import { type Caller, callerName } from "../access/caller.ts";
import { FAULTS, Fault } from "../lib/fault.ts";
import { unexpectedFault } from "../lib/unexpected.ts";
import type { Invoker } from "../operation/invoke.ts";
import { Asker, type Shown } from "./ask.ts";
import { ContextPage, contextFacts } from "./context-page.tsx";
import { ErrorPage } from "./error-page.tsx";
import { CONTENT_SECURITY_POLICY, type Frame, ICON, Page } from "./frame.tsx";
import { idOfPath, liveLink } from "./links.ts";
import { LiveStreams } from "./live.ts";
import { membersOf, Overview, overviewFacts } from "./overview.tsx";

export type Scheme = "http" | "https";

export interface WebOptions {
  invoker: Invoker;
  version: string;
  /** Base URL of the node where the tailnet gives it certificates, such as `https://cairn.example.ts.net`, else undefined. */
  secureUrl: () => string | undefined;
  nowMs: () => number;
  /** Called with what is no Fault; answers the id under which it was logged. */
  onUnexpected: (error: unknown) => string;
}

export interface Web {
  /** The answer to a request for `/` or `/ui/…`; undefined for every other path. */
  fetch(request: Request, caller: Caller, scheme: Scheme): Promise<Response | undefined>;
  /** The rights of these callers (by `Caller.id`), or of all, may have changed: their streams end, and the pages ask again. */
  callersChanged(ids?: readonly string[]): void;
  /** Ends all streams. */
  close(): void;
}

/** Every answer of the pages carries these (security.md 15). */
const HEADERS: Readonly<Record<string, string>> = {
  "Content-Security-Policy": CONTENT_SECURITY_POLICY,
  "X-Content-Type-Options": "nosniff",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "same-origin",
  "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
  "Cache-Control": "private, no-cache",
};
/** Half a year, for this name alone: who gives certificates up on a tailnet has that long to wait, or clears it in the browser. */
const STRICT_TRANSPORT = "max-age=15552000";

/** Makes the pages over the operations. */
export function createWeb(options: WebOptions): Web {
  const live = new LiveStreams();
  return {
    fetch: async (request, caller, scheme) => {
      const url = new URL(request.url);
      if (url.pathname !== "/" && !url.pathname.startsWith("/ui/")) return undefined;
      const extra = scheme === "https" ? { ...HEADERS, "Strict-Transport-Security": STRICT_TRANSPORT } : HEADERS;
      const secure = scheme === "http" && caller.kind !== "local" ? options.secureUrl() : undefined;
      if (secure !== undefined) {
        const place = `${secure}${url.pathname}${url.search}`;
        return new Response(null, { status: 308, headers: { ...extra, Location: place } });
      }
      const asker = new Asker(options.invoker, caller, request.signal);
      try {
        return await answer({ request, url, asker, options, live, headers: extra });
      } catch (error) {
        const fault = error instanceof Fault ? error : unexpectedFault("The page", options.onUnexpected(error));
        return errorPage(fault, asker, options.version, extra, request.method);
      }
    },
    callersChanged: (ids) => live.end(ids),
    close: () => live.end(),
  };
}

interface Visit {
  request: Request;
  url: URL;
  asker: Asker;
  options: WebOptions;
  live: LiveStreams;
  headers: Record<string, string>;
}

async function answer(visit: Visit): Promise<Response> {
  const { request, url, headers } = visit;
  if (request.method !== "GET" && request.method !== "HEAD") {
    throw new Fault("method_not_allowed", `Pages are only read, and this is ${request.method}`, {
      hint: "Write by REST, MCP or the command line.",
    });
  }
  if (url.pathname === "/ui/icon.svg")
    return new Response(ICON, {
      headers: { ...headers, "Content-Type": "image/svg+xml", "Cache-Control": "private, max-age=86400" },
    });
  if (url.pathname === "/ui/live") return liveStream(visit);
  if (url.pathname === "/") return overview(visit);
  const id = idOfPath(url.pathname);
  if (id !== undefined) return context(visit, id);
  throw new Fault("not_found", `There is no page ${url.pathname.slice(0, 100)}`, { hint: "Start at /." });
}

async function overview(visit: Visit): Promise<Response> {
  const { url, asker, options } = visit;
  // A caller without any right gets the refusal as the whole page, with the grant to paste.
  if (!options.invoker.rights(asker.caller).permitsAnything()) await asker.ask("whoami");
  const parameter = (name: string) => url.searchParams.get(name) ?? "";
  const filter = { prefix: parameter("prefix"), tag: parameter("tag"), cursor: parameter("cursor") };
  const since = options.invoker.position();
  const facts = await overviewFacts(asker, filter, url.origin, options.nowMs());
  const about = filter.prefix === "" ? {} : { prefix: filter.prefix };
  const frame = {
    title: `${nodeName(facts.status)}: contexts`,
    ...stateOf(facts.status),
    live: liveLink(since, about),
  };
  return page(visit, frame, <Overview facts={facts} />);
}

async function context(visit: Visit, id: string): Promise<Response> {
  const { url, asker, options } = visit;
  const parameter = (name: string) => url.searchParams.get(name) ?? "";
  const since = options.invoker.position();
  const view = {
    version: parameter("version"),
    from: parameter("from"),
    to: parameter("to"),
    format: parameter("format"),
    before: parameter("before"),
  };
  const [facts, status] = await Promise.all([
    contextFacts(asker, id, view, options.nowMs()),
    asker.tryAsk("node_status"),
  ]);
  const frame = { title: `${id}: ${nodeName(status)}`, ...stateOf(status), live: liveLink(since, { id }) };
  return page(visit, frame, <ContextPage facts={{ ...facts, members: membersOf(status) }} />);
}

async function liveStream({ request, url, asker, live, headers }: Visit): Promise<Response> {
  const id = url.searchParams.get("id");
  const prefix = url.searchParams.get("prefix");
  const since = request.headers.get("last-event-id") ?? url.searchParams.get("since") ?? "";
  const about = { ...(id === null ? {} : { id }), ...(prefix === null ? {} : { prefix }) };
  const body = request.method === "HEAD" ? null : await live.open(asker, { since, about });
  return new Response(body, {
    headers: { ...headers, "Content-Type": "text/event-stream", "Cache-Control": "private, no-store" },
  });
}

function stateOf(status: Shown<"node_status"> | Fault): Pick<Frame, "node" | "status"> {
  return status instanceof Fault ? { node: "" } : { node: nodeName(status), status: status.status };
}

function nodeName(status: Shown<"node_status"> | Fault): string {
  return status instanceof Fault ? "cairn" : status.tailnet.name || "cairn";
}

function page(visit: Visit, frame: Omit<Frame, "version">, content: Child): Response {
  return html(visit.request.method, 200, visit.headers, { ...frame, version: visit.options.version }, content);
}

function errorPage(
  fault: Fault,
  asker: Asker,
  version: string,
  headers: Record<string, string>,
  method: string,
): Response {
  const { status, title } = FAULTS[fault.code];
  const allow: Record<string, string> = fault.code === "method_not_allowed" ? { Allow: "GET, HEAD" } : {};
  const retry: Record<string, string> = status === 503 || status === 429 ? { "Retry-After": "2" } : {};
  const frame = { title, node: "", version };
  const content = <ErrorPage fault={fault} caller={callerName(asker.caller)} />;
  return html(method, status, { ...headers, ...allow, ...retry }, frame, content);
}

function html(method: string, status: number, headers: Record<string, string>, frame: Frame, content: Child): Response {
  const text = `<!doctype html>${<Page frame={frame}>{content}</Page>}`;
  return new Response(method === "HEAD" ? null : text, {
    status,
    headers: { ...headers, "Content-Type": "text/html; charset=utf-8" },
  });
}
