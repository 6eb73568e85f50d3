// The pages (architecture.md 8): answers requests for `/` and `/ui/…`. GET only, nothing here changes anything. Pages and
// sections come from manifests; invoke decides by the caller's rights what they show.

import { type Caller, callerName } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import type { Feature } from "../operation/feature.ts";
import type { Invoker } from "../operation/invoke.ts";
import type { Page, Visit } from "../operation/page.ts";
import { whoami } from "../operation/whoami.ts";
import { address } from "../page/address.ts";
import { Asker } from "./ask.ts";
import { connectSection } from "./connect.tsx";
import { ICON } from "./frame.tsx";
import { LiveStreams } from "./live.ts";
import { overviewOf } from "./overview.tsx";
import { errorResponse, HEADERS, pageResponse, STRICT_TRANSPORT } from "./response.tsx";
import { ICON_PATH, LIVE_PATH, Site } from "./site.ts";
import { PageVisit } from "./visit.ts";
import { youSection } from "./you.tsx";

/** How a request came. */
export type Scheme = "http" | "https";

export interface WebOptions {
  invoker: Invoker;
  /** Whose pages and sections are served. */
  features: readonly Feature[];
  version: string;
  /** Base URL of the node where the tailnet gives it certificates, such as `https://cairn.example.ts.net`, else undefined. */
  secureUrl: () => string | undefined;
  nowMs: () => number;
  /** Called with what is no Fault; returns the id under which it was logged. */
  onUnexpected: (error: unknown) => string;
}

/** The pages. */
export interface Web {
  /** Responds to a request for `/` or `/ui/…`; undefined for every other path. */
  fetch(request: Request, caller: Caller, scheme: Scheme): Promise<Response | undefined>;
  /** The rights of these callers (by `Caller.id`), or of all, may have changed: ends their streams, and pages ask again. */
  callersChanged(ids?: readonly string[]): void;
  /** Ends all streams. */
  close(): void;
}

/** Makes the pages over the operations. Throws an Error where two pages have one path. */
export function createWeb(options: WebOptions): Web {
  const site = new Site(options.features, [youSection, connectSection]);
  const serving = { options, site, overview: overviewOf(site.sections), live: new LiveStreams(site.waitedBy) };
  return {
    fetch: async (request, caller, scheme) => {
      const url = new URL(request.url);
      if (url.pathname !== "/" && !url.pathname.startsWith("/ui/")) return undefined;
      const { method } = request;
      const headers = scheme === "https" ? { ...HEADERS, "Strict-Transport-Security": STRICT_TRANSPORT } : HEADERS;
      const secure = scheme === "http" && caller.kind !== "local" ? options.secureUrl() : undefined;
      if (secure !== undefined) {
        const location = `${secure}${url.pathname}${url.search}`;
        return new Response(null, { status: 308, headers: { ...headers, Location: location } });
      }
      const asker = new Asker(options.invoker, caller, request.signal);
      try {
        return await respond({ ...serving, request, url, asker, headers });
      } catch (error) {
        const fault = error instanceof Fault ? error : unexpected(options.onUnexpected(error));
        const { links } = site;
        const shown = { fault, caller: callerName(caller), links, version: options.version };
        return errorResponse({ method, headers }, shown);
      }
    },
    callersChanged: (ids) => serving.live.end(ids),
    close: () => serving.live.end(),
  };
}

interface Serving {
  options: WebOptions;
  site: Site;
  overview: Page;
  live: LiveStreams;
  request: Request;
  url: URL;
  asker: Asker;
  headers: Readonly<Record<string, string>>;
}

async function respond(serving: Serving): Promise<Response> {
  const { request, url, headers, site, overview } = serving;
  if (request.method !== "GET" && request.method !== "HEAD") {
    throw new Fault("method_not_allowed", `Pages are only read, and this is ${request.method}`, {
      hint: "Write by REST, MCP or the command line.",
    });
  }
  if (url.pathname === ICON_PATH)
    return new Response(ICON, {
      headers: { ...headers, "Content-Type": "image/svg+xml", "Cache-Control": "private, max-age=86400" },
    });
  if (url.pathname === LIVE_PATH) return liveStream(serving);
  const found = url.pathname === "/" ? { page: overview, rest: "" } : site.find(url.pathname);
  if (found !== undefined) return page(serving, found);
  throw new Fault("not_found", `There is no page ${url.pathname.slice(0, 100)}`, { hint: "Start at /." });
}

async function page(serving: Serving, { page, rest }: { page: Page; rest: string }): Promise<Response> {
  const { options, site, overview, asker, url, request, headers } = serving;
  const visit = new PageVisit({ asker, url, rest, nowMs: options.nowMs(), frame: site.frame });
  if (page === overview) await refuseStrangers(options.invoker, visit);
  // Read before the page asks: the stream begins here, so no change in between is missed.
  const since = options.invoker.position();
  const { title, follows, body } = await page.open(visit);
  const { name, status } = await visit.frame();
  const live = follows === undefined ? undefined : address(LIVE_PATH, { since, ...follows });
  const frame = { title, node: name, status, live, links: site.links, version: options.version };
  return pageResponse({ method: request.method, status: 200, headers }, frame, body);
}

/** A caller without any right gets the gate's refusal as the whole page, with the grant to paste. */
async function refuseStrangers(invoker: Invoker, visit: Visit): Promise<void> {
  if (!invoker.rights(visit.caller).permitsAnything()) await visit.ask(whoami);
}

async function liveStream({ request, url, asker, live, headers }: Serving): Promise<Response> {
  const id = url.searchParams.get("id");
  const prefix = url.searchParams.get("prefix");
  const since = request.headers.get("last-event-id") ?? url.searchParams.get("since") ?? "";
  const follows = { ...(id === null ? {} : { id }), ...(prefix === null ? {} : { prefix }) };
  const body = request.method === "HEAD" ? null : await live.open(asker, { since, follows });
  return new Response(body, {
    headers: { ...headers, "Content-Type": "text/event-stream", "Cache-Control": "private, no-store" },
  });
}

function unexpected(id: string): Fault {
  return new Fault("internal", `The page failed unexpectedly (error ${id})`, {
    hint: `The log of the node tells more under ${id}.`,
  });
}
