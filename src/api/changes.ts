// The change feed over HTTP (architecture.md 8): as server-sent events or by long poll. What a caller sees of it is context_wait's, asked through invoke.

import { type Context, Hono } from "hono";
import type { Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import { essenceOf } from "../lib/media-type.ts";
import type { Invoker } from "../operation/invoke.ts";
import { answerJson } from "./answer.ts";
import type { OpenStream } from "./contexts.ts";
import type { ApiEnv } from "./env.ts";
import type { EventStreams } from "./event-streams.ts";
import { SAFE_HEADERS } from "./problem.ts";
import { commonHeaders, numberOf, readQuery } from "./request.ts";

const EVENT_STREAM = "text/event-stream";

export function changeRoutes(invoker: Invoker, streams: EventStreams): Hono<ApiEnv> {
  const routes = new Hono<ApiEnv>();
  routes.get("/changes", async (c) => {
    const { feed, timeout, limit, ...filter } = readQuery(c.req.url, ["since", "prefix", "feed", "timeout", "limit"]);
    if (feedOf(feed, c.req.raw) === "longpoll") {
      return longPoll(invoker, c, {
        ...filter,
        ...(limit === undefined ? {} : { limit: numberOf(limit) }),
        timeout_seconds: c.req.raw.method === "HEAD" ? 0 : numberOf(timeout ?? "25"),
      });
    }
    if (timeout !== undefined || limit !== undefined) {
      throw new Fault("invalid_input", "timeout and limit are of feed=longpoll", { hint: "Leave them out." });
    }
    return stream(invoker, streams, c.req.raw, c.env.caller, filter);
  });
  return routes;
}

/** The stream of one context, for contexts.ts. */
export function contextStream(invoker: Invoker, streams: EventStreams): OpenStream {
  return (c, { id }) => stream(invoker, streams, c.req.raw, c.env.caller, { ...readQuery(c.req.url, ["since"]), id });
}

/** What `feed` says; without it, what the client accepts. */
function feedOf(feed: string | string[] | undefined, request: Request): "sse" | "longpoll" {
  if (feed === undefined) {
    const accepted = (request.headers.get("accept") ?? "").split(",", 32).map((part) => essenceOf(part));
    return accepted.includes(EVENT_STREAM) ? "sse" : "longpoll";
  }
  if (feed === "sse" || feed === "longpoll") return feed;
  throw new Fault("invalid_input", `There is no feed ${JSON.stringify(String(feed).slice(0, 40))}`, {
    hint: "Use feed=sse or feed=longpoll.",
  });
}

async function longPoll(invoker: Invoker, c: Context<ApiEnv>, input: Record<string, unknown>): Promise<Response> {
  const request = c.req.raw;
  const { output, position } = await invoker.invoke({
    operation: "context_wait",
    input: { ...commonHeaders(request), ...input },
    caller: c.env.caller,
    signal: request.signal,
    surface: "rest",
  });
  const said = output["position"];
  return answerJson(request, output, {
    headers: { "Cairn-Position": typeof said === "string" ? said : position, Vary: "Accept, Accept-Encoding" },
  });
}

/** Refusals come as a problem before the stream begins; Last-Event-ID wins over `since`, since a client that comes back knows better than its URL. */
async function stream(
  invoker: Invoker,
  streams: EventStreams,
  request: Request,
  caller: Caller,
  filter: Record<string, unknown>,
): Promise<Response> {
  streams.refuseFull();
  const lastEventId = request.headers.get("last-event-id") ?? "";
  const following = await invoker.follow({
    operation: "context_wait",
    input: { ...commonHeaders(request), ...filter, ...(lastEventId === "" ? {} : { since: lastEventId }) },
    caller,
    signal: request.signal,
    surface: "rest",
  });
  const headers = {
    ...SAFE_HEADERS,
    "Content-Type": EVENT_STREAM,
    "Cache-Control": "private, no-store",
    "Cairn-Position": following.position,
    Vary: "Accept",
  };
  if (request.method === "HEAD" || request.signal.aborted) {
    following.close();
    return new Response(null, { headers });
  }
  return new Response(streams.open(following, caller), { headers });
}
