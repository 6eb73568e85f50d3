// The REST surface (architecture.md 8): HTTP meaning over `invoke`, from one table of routes. Who is calling has been
// decided before a request gets here.

import type { Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import { type BodyHold, UNBOUNDED } from "../lib/request-body.ts";
import type { Upgrade } from "../lib/socket.ts";
import { unexpectedFault } from "../lib/unexpected.ts";
import { tracedBy } from "../operation/call-span.ts";
import { eventTypesOf } from "../operation/derive.ts";
import type { Feature } from "../operation/feature.ts";
import type { Invoker } from "../operation/invoke.ts";
import type { RestRoute } from "../operation/rest-route.ts";
import { argumentsOf } from "./arguments.ts";
import { respondBytes } from "./bytes.ts";
import type { StreamTiming } from "./event-stream.ts";
import { EventStreams, type StreamBounds } from "./event-streams.ts";
import { type FeedSurface, respondFeed, respondSocket } from "./feed.ts";
import type { NodeFacts } from "./node-facts.ts";
import { nodeRoutes } from "./node-routes.ts";
import { openApi } from "./openapi.ts";
import { problemResponse, SAFE_HEADERS } from "./problem.ts";
import { clientOf, readQuery } from "./request.ts";
import { respond } from "./respond.ts";
import type { NodeSurface, RouteCall, Row } from "./route.ts";
import { type Place, Router } from "./router.ts";

export interface ApiOptions extends NodeFacts {
  invoker: Invoker;
  /** The features whose routes it serves. */
  features: readonly Feature[];
  /** Times of streams other than the usual ones. */
  streams?: Partial<StreamTiming>;
  /** Bounds of streams other than the usual ones. */
  bounds?: Partial<StreamBounds>;
  /** Called with what is no Fault; returns the id under which it was logged. */
  onUnexpected: (error: unknown) => string;
}

/** The mounted REST surface. */
export interface Api {
  /**
   * `hold`: what the body of the request may take. `upgrade`: turns the request into a WebSocket; then the response is
   * `UPGRADED`.
   */
  fetch(request: Request, caller: Caller, hold?: BodyHold, upgrade?: Upgrade): Promise<Response>;
  /** Judges or ends the streams of these callers (by `Caller.id`), or of all: their rights may have changed. */
  callersChanged(ids?: readonly string[]): void;
  /** Event streams that are open now. */
  readonly openStreams: number;
  /** Returns the open streams by kind. */
  connections(): { stream: number; websocket: number };
  /** Ends all streams with a reason. */
  close(): void;
}

/** Returns the table of routes of these features and of the node itself. */
export function routesOf(features: readonly Feature[]): readonly Row[] {
  return [...features.flatMap(({ rest = [] }) => rest), ...nodeRoutes];
}

/** Makes the REST surface over an invoker; requests come with their caller. */
export function createApi(options: ApiOptions): Api {
  const { invoker, onUnexpected, streams: timing = {} } = options;
  const routes = routesOf(options.features);
  const router = new Router(routes);
  const streams = new EventStreams({ invoker, onUnexpected, timing, bounds: options.bounds ?? {} });
  let text: string | undefined;
  /** Made when somebody asks for it: it needs the schemas of all operations. */
  const description = (): string => {
    text ??= JSON.stringify(openApi(routes, invoker.registry, options.version, eventTypesOf(options.features)));
    return text;
  };
  const surface: NodeSurface & FeedSurface = { invoker, streams, facts: options, description };

  const answer = async (asked: Omit<RouteCall, "params">): Promise<Response> => {
    try {
      return await dispatch(router, asked, surface);
    } catch (error) {
      const fault = error instanceof Fault ? error : unexpectedFault("The request", onUnexpected(error));
      if (invoker.isTraced) recordRefused(asked, fault);
      return problemResponse(fault);
    }
  };
  const recordRefused = ({ request, caller }: Omit<RouteCall, "params">, fault: Fault): void => {
    invoker.recordRefused(
      { operation: operationAt(router, request), caller, surface: "rest", ...tracedBy(true, request) },
      fault,
    );
  };
  return {
    fetch: async (request, caller, hold = UNBOUNDED, upgrade = undefined) => {
      const response = await answer({ request, caller, hold, upgrade });
      return request.method === "HEAD" ? new Response(null, response) : response;
    },
    callersChanged: (ids) => streams.callersChanged(ids),
    get openStreams() {
      return streams.size;
    },
    connections: () => streams.connections(),
    close: () => streams.close(),
  };
}

/** Returns the operation that a request asks for; "" where it names none. */
function operationAt(router: Router<Row>, { url, method }: Request): string {
  try {
    const row = router.find(url)?.place.rows.get(method === "HEAD" ? "GET" : method);
    return row !== undefined && "operation" in row ? row.operation : "";
  } catch {
    // An address that cannot be read names none.
    return "";
  }
}

async function dispatch(
  router: Router<Row>,
  asked: Omit<RouteCall, "params">,
  surface: NodeSurface & FeedSurface,
): Promise<Response> {
  const { request } = asked;
  const found = router.find(request.url);
  if (found === undefined) {
    throw new Fault("not_found", `There is no route ${new URL(request.url).pathname.slice(0, 100)}`, {
      hint: "GET /openapi.json lists the routes.",
    });
  }
  const { place, params } = found;
  if (request.method === "OPTIONS") return optionsOf(place);
  const row = place.rows.get(request.method === "HEAD" ? "GET" : request.method);
  if (row === undefined) throw notAllowed(request.method, place.allow);
  const call: RouteCall = { ...asked, params };
  if ("operation" in row) return callRow(row, call, surface);
  readQuery(request.url, row.query ?? {});
  return row.respond(call, surface);
}

async function callRow(row: RestRoute, call: RouteCall, surface: FeedSurface): Promise<Response> {
  const { response, operation, conditions = [] } = row;
  if (response.kind === "stream") return respondFeed(row, response.longPoll, call, surface);
  if (response.kind === "socket") return respondSocket(row, response.publish, call, surface);
  if (response.kind === "bytes") return respondBytes(row, response, call, surface.invoker);
  const { request, caller, params } = call;
  const client = clientOf(request);
  if (row.body !== undefined) surface.invoker.refuseUnread(operation, { caller, client }, params, "rest");
  const { input, shape } = await argumentsOf(row, call);
  const found = await surface.invoker.invoke({
    operation,
    input,
    caller,
    client,
    signal: request.signal,
    surface: "rest",
    exact: true,
    ...tracedBy(surface.invoker.isTraced, request),
  });
  const answer = shape === undefined ? found : { ...found, output: shape(found.output) };
  return respond(request, response, conditions.includes("if-none-match"), answer, found.output);
}

/**
 * Returns 204 with `Allow` (RFC 9110 9.3.7), and `Accept-Patch` where PATCH is a method (RFC 5789 3.1). It does not
 * depend on what is stored.
 */
function optionsOf({ rows, allow }: Place<Row>): Response {
  const patch = rows.get("PATCH");
  const types = patch !== undefined && "body" in patch && patch.body?.kind === "patch" ? patch.body.types : undefined;
  const accepted: Record<string, string> = types === undefined ? {} : { "Accept-Patch": Object.keys(types).join(", ") };
  return new Response(null, { status: 204, headers: { ...SAFE_HEADERS, Allow: allow, ...accepted } });
}

/** The refusal of a method at a known path; `details.allow` becomes the header. */
function notAllowed(method: string, allow: string): Fault {
  return new Fault("method_not_allowed", `${method} is not allowed here`, {
    hint: `Allowed are ${allow}.`,
    details: { allow },
  });
}
