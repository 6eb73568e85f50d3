// The pages (architecture.md 8): responds to requests for `/` and `/ui/…`. GET changes nothing; a form of a page calls
// one operation. Pages and sections come from manifests; invoke decides by the caller's rights what they show and do.

import { type Caller, callerName } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import { inNames, type Names } from "../lib/in-names.ts";
import { type BodyHold, UNBOUNDED } from "../lib/request-body.ts";
import { refuseForeignQuery } from "../lib/utf8.ts";
import type { Feature } from "../operation/feature.ts";
import type { Invoker } from "../operation/invoke.ts";
import type { Page, PageForm } from "../operation/page.ts";
import { whoami } from "../operation/whoami.ts";
import { address } from "../page/address.ts";
import { jsonAddress, pageParameters, wantsJson } from "./as-json.ts";
import { Asker } from "./ask.ts";
import { CHART_SCRIPT } from "./chart.ts";
import { connectSection } from "./connect.tsx";
import { formInput, refuseForeignForm } from "./form.ts";
import { ICON, styleWith } from "./frame.tsx";
import { LiveStreams } from "./live.ts";
import { HOME_ALIASES, isPagePath, LIVE_PATH } from "./paths.ts";
import { type Around, Responses } from "./response.tsx";
import { type Place, Site } from "./site.ts";
import { PageVisit } from "./visit.ts";
import { youSection } from "./you.tsx";

/** How a request came. */
export type Scheme = "http" | "https";

export interface WebOptions {
  invoker: Invoker;
  /** Whose pages and sections are served. */
  features: readonly Feature[];
  version: string;
  /** Base URL of the node where the tailnet gives it certificates, such as `https://cairn.example.ts.net`. */
  secureUrl: () => string | undefined;
  nowMs: () => number;
  /** Called with what is no Fault; returns the id under which it was logged. */
  onUnexpected: (error: unknown) => string;
}

/** The pages. */
export interface Web {
  /** Responds to a request for `/` or `/ui/…`; undefined for every other path. */
  fetch(request: Request, caller: Caller, scheme: Scheme, hold?: BodyHold): Promise<Response | undefined>;
  /** Ends the streams of these callers (by `Caller.id`), or of all, whose rights may have changed; pages ask again. */
  callersChanged(ids?: readonly string[]): void;
  /** Ends all streams. */
  close(): void;
}

/** Makes the pages over the operations. Throws an Error where two pages have one path. */
export function createWeb(options: WebOptions): Web {
  const site = new Site(options.features, [youSection, connectSection]);
  const responses = new Responses({ style: styleWith(site.styles), version: options.version });
  const live = new LiveStreams(site.waitedBy);
  const names: Names = {
    nameOf: (operation) => site.names.get(operation),
    isOperation: (word) => options.invoker.registry.get(word) !== undefined,
  };
  const parts: Parts = { options, site, names, responses, live };
  return {
    fetch: async (request, caller, scheme, hold = UNBOUNDED) => {
      const url = new URL(request.url);
      if (!isPagePath(url.pathname)) return undefined;
      const isJson = wantsJson(request, url);
      const asker = new Asker(options.invoker, caller, request.signal);
      const links = site.links.filter(({ needs }) => needs === undefined || asker.maySomewhere(needs));
      const around = { method: request.method, headers: responses.headers(scheme), isJson, links };
      const secure = scheme === "http" && caller.kind !== "local" ? options.secureUrl() : undefined;
      if (secure !== undefined) {
        const location = `${secure}${url.pathname}${url.search}`;
        return new Response(null, { status: 308, headers: { ...around.headers, Location: location } });
      }
      try {
        refuseForeignQuery(url.search);
        return await respond(parts, { ...around, request, url, asker, hold, origin: `${scheme}://${url.host}` });
      } catch (error) {
        const fault = error instanceof Fault ? error : unexpected(options.onUnexpected(error));
        const shown = isJson ? fault : inNames(fault, undefined, names);
        return responses.fault(around, shown, callerName(caller));
      }
    },
    callersChanged: (ids) => live.end(ids),
    close: () => live.end(),
  };
}

/** What all requests have in common. */
interface Parts {
  options: WebOptions;
  site: Site;
  /** What operations are called on pages. */
  names: Names;
  responses: Responses;
  live: LiveStreams;
}

/** One request. */
interface Asking extends Around {
  request: Request;
  url: URL;
  asker: Asker;
  hold: BodyHold;
  /** Origin of this node's pages, as the request names it. */
  origin: string;
}

async function respond(parts: Parts, asking: Asking): Promise<Response> {
  const { method, url } = asking;
  if (HOME_ALIASES.includes(url.pathname) && (method === "GET" || method === "HEAD")) {
    return new Response(null, { status: 302, headers: { ...asking.headers, Location: `/${url.search}` } });
  }
  const found = parts.site.find(url.pathname);
  const form = method === "POST" ? formOf(found?.place, url.searchParams.get("form")) : undefined;
  if (method !== "GET" && method !== "HEAD" && form === undefined) {
    throw new Fault(
      "method_not_allowed",
      `There is no form here, so this address is only read, and this is ${method}`,
      {
        hint: "Write by REST, MCP or the command line.",
      },
    );
  }
  if (found === undefined)
    throw new Fault("not_found", `There is no page ${url.pathname.slice(0, 100)}`, { hint: "Start at /." });
  const { place, rest } = found;
  if (form !== undefined) return takeForm(parts, asking, { form, rest });
  if (place === "live") return liveStream(parts, asking);
  if (place === "icon") return fileOf(asking, ICON, "image/svg+xml", 86_400);
  if (place === "chart") return fileOf(asking, CHART_SCRIPT, "text/javascript; charset=utf-8", 31_536_000);
  return openPage(parts, asking, { page: place, rest });
}

function fileOf({ method, headers }: Asking, text: string, type: string, maxAgeSeconds: number): Response {
  return new Response(method === "HEAD" ? null : text, {
    headers: { ...headers, "Content-Type": type, "Cache-Control": `private, max-age=${maxAgeSeconds}` },
  });
}

function formOf(place: Place | undefined, name: string | null): PageForm | undefined {
  const forms = typeof place === "object" ? (place.forms ?? {}) : {};
  return name !== null && Object.hasOwn(forms, name) ? forms[name] : undefined;
}

/** Calls the operation of a form, and sends the browser to the page that shows what became of it. */
async function takeForm(
  { options }: Parts,
  { request, headers, asker, hold, origin }: Asking,
  { form, rest }: { form: PageForm; rest: string },
): Promise<Response> {
  refuseForeignForm(request, origin);
  options.invoker.refuseUnread(form.operation, { caller: asker.caller }, form.known(rest), "web");
  const output = await asker.run(form.operation, await formInput(request, hold, form, rest));
  return new Response(null, { status: 303, headers: { ...headers, Location: form.next(output, rest) } });
}

async function openPage(parts: Parts, asking: Asking, { page, rest }: { page: Page; rest: string }): Promise<Response> {
  const { options, site, names, responses } = parts;
  const { asker, url } = asking;
  const parameters = pageParameters(url);
  const visit = new PageVisit({ asker, url, parameters, rest, names, nowMs: options.nowMs(), frame: site.frame });
  // A caller without any right gets the gate's refusal as the whole page, with the grant to paste.
  if (page === site.overview && !options.invoker.rights(asker.caller).permitsAnything()) await visit.ask(whoami);
  // Read before the page asks: the stream begins here, so that no change in between is missed.
  const since = options.invoker.position();
  const { title, follows, againSeconds, charts, body } = await page.open(visit);
  const { name, status } = await visit.frame();
  const live = follows === undefined ? undefined : address(LIVE_PATH, { since, ...follows });
  if (asking.isJson) return responses.json(asking, { page: url.pathname, title, live, asked: await visit.answers() });
  const place = { path: page.within ?? url.pathname, json: jsonAddress(url) };
  return responses.page(asking, { title, node: name, status, live, againSeconds, ...place, charts }, body);
}

async function liveStream({ live }: Parts, { request, method, url, asker, headers }: Asking): Promise<Response> {
  const id = url.searchParams.get("id");
  const prefix = url.searchParams.get("prefix");
  const since = request.headers.get("last-event-id") ?? url.searchParams.get("since") ?? "";
  const follows = { ...(id === null ? {} : { id }), ...(prefix === null ? {} : { prefix }) };
  const body = method === "HEAD" ? null : await live.open(asker, { since, follows });
  return new Response(body, {
    headers: { ...headers, "Content-Type": "text/event-stream", "Cache-Control": "private, no-store" },
  });
}

function unexpected(id: string): Fault {
  return new Fault("internal", `The page failed unexpectedly (error ${id})`, {
    hint: `The log of the node tells more under ${id}.`,
  });
}
