// MCP Events (`io.modelcontextprotocol/events`): its requests by the operations that a manifest names. The stream of
// `events/stream` is event-streams.ts; this opens it.

import { ProtocolError, type Server, type ServerContext } from "@modelcontextprotocol/server";
import { z } from "zod";
import { Fault } from "../lib/fault.ts";
import type { Invoker } from "../operation/invoke.ts";
import type { EventType, FeatureMcpEvents } from "../operation/mcp-parts.ts";
import { type Asking, askBy } from "./ask.ts";
import { asEventError, eventError, profileOf } from "./event-errors.ts";
import { EventParams } from "./event-params.ts";
import type { EventStreams } from "./event-streams.ts";

/** The method that opens a stream. */
export const EVENTS_STREAM = "events/stream";

/** The identifier of the extension, as a key of `extensions` in capabilities. */
const EXTENSION = "io.modelcontextprotocol/events";
/** Most types of one page. */
const PAGE_SIZE = 100;
/** How long a client that got everything should wait, in ms. */
const NEXT_POLL_MS = 5000;

/** What servers with events say they can: as the specification has it, and as ChatGPT reads it. */
export const EVENT_CAPABILITIES = { extensions: { [EXTENSION]: {} }, events: {} } as const;

/** What one preset has of events. */
export interface EventParts {
  part: FeatureMcpEvents;
  invoker: Invoker;
  streams: EventStreams;
}

type Json = Record<string, unknown>;
type Handler = (parts: EventParts, asking: Asking, params: EventParams, context: ServerContext) => Promise<Json>;

const HANDLERS: Readonly<Record<string, Handler>> = {
  "events/list": async ({ part, invoker }, asking, params) => {
    const { types, cursor } = await askBy(invoker, asking, part.list, { cursor: params.page, limit: PAGE_SIZE });
    const isSent = part.subscribe !== undefined;
    return {
      events: types.map((type) => listed(type, isSent)),
      ...(cursor === undefined ? {} : { nextCursor: cursor }),
    };
  },
  "events/poll": async ({ part, invoker }, asking, params) => {
    const { more: hasMore, ...page } = await askBy(invoker, asking, part.poll, params.subscription);
    return { ...page, hasMore, nextPollMs: NEXT_POLL_MS };
  },
  [EVENTS_STREAM]: async ({ part, streams }, asking, params, { http, mcpReq: { id } }) => {
    const { limit: _, ...request } = params.subscription;
    await streams.prepare({ part, asking, request, id, profile: profileOf(asking.client) }, http?.req);
    return {};
  },
  "events/subscribe": async ({ part, invoker }, asking, params) => {
    const { mode, ...request } = params.callback;
    if (mode !== "webhook" || part.subscribe === undefined) throw notDelivered(asking, mode);
    const { status, ...grant } = await askBy(invoker, asking, part.subscribe, request);
    return { ...grant, ...(status === undefined ? {} : { deliveryStatus: status }) };
  },
  "events/unsubscribe": async ({ part, invoker }, asking, params) => {
    const { key } = params;
    const isEnded = part.unsubscribe !== undefined && (await askBy(invoker, asking, part.unsubscribe, key));
    if (!isEnded) throw new Fault("not_found", `There is no subscription to ${key.name} with these arguments there`);
    return {};
  },
};

/** Names of the methods. */
export const EVENT_METHODS: readonly string[] = Object.keys(HANDLERS);

/** Registers methods of events. `askingOf` returns who asks. */
export function handleEvents(
  server: Server,
  parts: EventParts,
  methods: readonly string[],
  askingOf: (context: ServerContext) => Asking,
): void {
  for (const method of methods) {
    const kind = method === "events/unsubscribe" ? "subscription" : "event";
    server.setRequestHandler(method, { params: z.looseObject({}) }, async (params, context) => {
      const asking = askingOf(context);
      try {
        return (await HANDLERS[method]?.(parts, asking, new EventParams(method, params), context)) ?? {};
      } catch (error) {
        throw asEventError(profileOf(asking.client), error, kind);
      }
    });
  }
}

function notDelivered({ client }: Asking, mode: string): ProtocolError {
  const value = mode.slice(0, 40);
  const words = `events/subscribe does not deliver by ${JSON.stringify(value)} here: events/list says what each type has`;
  const { code, message, data } = eventError(profileOf(client), "Unsupported", words, {
    feature: "deliveryMode",
    value,
  });
  return new ProtocolError(code, message, data);
}

function listed({ name, description, hasCallbacks, inputSchema, payloadSchema }: EventType, isSent: boolean): Json {
  const delivery = ["poll", "push", ...(isSent && hasCallbacks ? ["webhook"] : [])];
  return { name, description, delivery, inputSchema, payloadSchema };
}
