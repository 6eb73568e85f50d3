// The change feed over HTTP (architecture.md 8): as server-sent events or by long poll. What of it a caller sees is the
// business of the operation that the row follows.

import { Fault } from "../lib/fault.ts";
import { essenceOf } from "../lib/media-type.ts";
import { UPGRADED } from "../lib/socket.ts";
import { tracedBy } from "../operation/call-span.ts";
import type { Invoker } from "../operation/invoke.ts";
import type { LongPoll, RestRoute } from "../operation/rest-route.ts";
import { type Arguments, queryArguments } from "./arguments.ts";
import { jsonResponse } from "./content.ts";
import type { EventStreams } from "./event-streams.ts";
import { SAFE_HEADERS } from "./problem.ts";
import { clientOf, commonHeaders, type QueryValues, readQuery } from "./request.ts";
import type { RouteCall } from "./route.ts";

const EVENT_STREAM = "text/event-stream";

/** What a row of the feed needs of the surface. */
export interface FeedSurface {
  invoker: Invoker;
  streams: EventStreams;
}

/** Responds to a row of the feed. A refusal is a Fault before anything streams. */
export async function respondFeed(
  route: RestRoute,
  longPoll: LongPoll | undefined,
  call: RouteCall,
  surface: FeedSurface,
): Promise<Response> {
  const { request } = call;
  const query = readQuery(request.url, route.query ?? {});
  if (longPoll === undefined) return follow(route, argumentsFor(route, call, query), call, surface);
  const { [longPoll.choose]: chosen, ...values } = query;
  if (feedOf(chosen, request) === "longpoll") return poll(route, longPoll, values, call, surface.invoker);
  if (longPoll.only.some((name) => values[name] !== undefined)) {
    throw new Fault("invalid_input", `${longPoll.only.join(" and ")} are of ${longPoll.choose}=longpoll`, {
      hint: "Leave them out.",
    });
  }
  return follow(route, argumentsFor(route, call, values), call, surface);
}

function argumentsFor(route: RestRoute, { request, params }: RouteCall, values: QueryValues): Arguments {
  return { ...commonHeaders(request), ...route.constants, ...queryArguments(route, values), ...params };
}

/** What the client chose; without a choice, what it accepts. */
function feedOf(chosen: QueryValues[string] | undefined, request: Request): "sse" | "longpoll" {
  if (chosen === undefined) {
    const accepted = (request.headers.get("accept") ?? "").split(",", 32).map((part) => essenceOf(part));
    return accepted.includes(EVENT_STREAM) ? "sse" : "longpoll";
  }
  if (chosen === "sse" || chosen === "longpoll") return chosen;
  throw new Fault("invalid_input", `There is no feed ${JSON.stringify(String(chosen).slice(0, 40))}`, {
    hint: "Use feed=sse or feed=longpoll.",
  });
}

async function poll(
  route: RestRoute,
  { wait }: LongPoll,
  values: QueryValues,
  call: RouteCall,
  invoker: Invoker,
): Promise<Response> {
  const { request, caller } = call;
  // HEAD has no body to wait for.
  const waits = request.method === "HEAD" ? { [wait]: "0" } : {};
  const { output, position } = await invoker.invoke({
    operation: route.operation,
    input: argumentsFor(route, call, { ...values, ...waits }),
    caller,
    client: clientOf(request),
    signal: request.signal,
    surface: "rest",
    exact: true,
    ...tracedBy(invoker.isTraced, request),
  });
  const reached = output["position"];
  return jsonResponse(request, output, {
    headers: { "Cairn-Position": typeof reached === "string" ? reached : position, Vary: "Accept, Accept-Encoding" },
  });
}

/** Opens a WebSocket. A refusal is a Fault before the request is upgraded. */
export async function respondSocket(
  route: RestRoute,
  publish: string,
  call: RouteCall,
  { invoker, streams }: FeedSurface,
): Promise<Response> {
  const { request, caller, upgrade } = call;
  const values = readQuery(request.url, route.query ?? {});
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket" || upgrade === undefined) {
    throw new Fault("invalid_input", "This is the address of a WebSocket", {
      hint: "Open it with a WebSocket client; /events/stream has the same events as server-sent events.",
      details: { field: "upgrade" },
    });
  }
  streams.refuseFull();
  const ending = new AbortController();
  const who = { caller, client: clientOf(request), signal: ending.signal, surface: "rest", exact: true } as const;
  const input = argumentsFor(route, call, values);
  const traced = tracedBy(invoker.isTraced, request);
  const following = await invoker.follow({ ...who, ...traced, operation: route.operation, input });
  const { space, as } = input;
  const publishes = async (message: Record<string, unknown>) => {
    const given = { space: message["space"] ?? space, events: message["publish"] };
    const all = { ...given, ...(as === undefined ? {} : { as }) };
    const known = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
    return (await invoker.invoke({ ...who, operation: publish, input: known })).output;
  };
  const socket = streams.openSocket(following, caller, publishes);
  if (upgrade(socket)) return UPGRADED;
  socket.closed();
  throw new Fault("invalid_input", "The request is no valid handshake of a WebSocket", {
    hint: "Use a WebSocket client of RFC 6455, version 13.",
    details: { field: "upgrade" },
  });
}

/** Last-Event-ID wins over `since`, since a client that comes back knows better than its URL. */
async function follow(
  route: RestRoute,
  input: Arguments,
  { request, caller }: RouteCall,
  { invoker, streams }: FeedSurface,
): Promise<Response> {
  streams.refuseFull();
  const lastEventId = request.headers.get("last-event-id") ?? "";
  const following = await invoker.follow({
    operation: route.operation,
    input: lastEventId === "" ? input : { ...input, since: lastEventId },
    caller,
    client: clientOf(request),
    signal: request.signal,
    surface: "rest",
    exact: true,
    ...tracedBy(invoker.isTraced, request),
  });
  const headers = {
    ...SAFE_HEADERS,
    "Content-Type": EVENT_STREAM,
    "Cache-Control": "private, no-store",
    ...(following.position === "" ? {} : { "Cairn-Position": following.position }),
    Vary: "Accept",
  };
  if (request.method === "HEAD" || request.signal.aborted) {
    following.close();
    return new Response(null, { headers });
  }
  return new Response(streams.open(following, caller), { headers });
}
