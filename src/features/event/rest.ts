// The HTTP routes of events, as rows for the router of api/: those of Cairn, and those of tas-mcp under `/api/v1`.
// Rules and rights are those of the operations; bodies are decoded by codecs/.

import { MAX_DOCUMENT_INPUT_BYTES } from "../../lib/bounds.ts";
import type { QueryParameter, RestRoute, RouteBody } from "../../operation/rest-route.ts";
import { decodeBatch, decodeEvent, EVENT_TYPES } from "./codecs/cloudevents.ts";
import { decodeTasBatch, decodeTasEvent } from "./codecs/tas.ts";

const tag = "events";
const response = { kind: "json" } as const;
const promised = { kind: "json", durability: true } as const;
const publish = { method: "POST", tag, operation: "event_publish_many", response: promised } as const;

const space: QueryParameter = { kind: "text", description: "Only events of this space" };
const CHOSEN = {
  space,
  types: {
    kind: "list",
    description:
      "Only events of these types, with commas between them (\\, is one within a type); with * at the end all that begin so",
  },
  source: { kind: "text", description: "Only events of this source; with * at the end all that begin so" },
  subject: { kind: "text", description: "Only events with this subject; with * at the end all that begin so" },
} as const;
const SINCE: QueryParameter = { kind: "text", description: "Events after this cursor; oldest: all that are kept" };
const FOLLOWED = {
  ...CHOSEN,
  since: SINCE,
  time: { kind: "text", description: "Without since: events that were ordered at this time or later" },
  own: { kind: "flag", description: "Also those that you sent yourself" },
} as const;
const INTO = { space: { kind: "text", description: "Space of the events (default: default)" } } as const;

function decoded(types: readonly string[], decode: Extract<RouteBody, { kind: "decoded" }>["decode"]): RouteBody {
  return { kind: "decoded", members: ["events"], types, maxBytes: MAX_DOCUMENT_INPUT_BYTES, decode };
}

/** The routes. */
export const eventRoutes: readonly RestRoute[] = [
  {
    ...{
      ...publish,
      path: "/events",
      operationId: "publishEvent",
      summary: "Publish an event, or a batch",
      query: INTO,
    },
    body: decoded([...EVENT_TYPES, "*/*"], decodeEvent),
  },
  {
    ...{ ...publish, path: "/events/batch", operationId: "publishEvents", summary: "Publish events", query: INTO },
    body: decoded(["application/cloudevents-batch+json", "application/json"], decodeBatch),
  },
  {
    ...{ method: "GET", path: "/events", operationId: "listEvents", summary: "List events", tag, response },
    operation: "event_list",
    query: {
      ...CHOSEN,
      since: SINCE,
      before: { kind: "text", description: "Events before this cursor, the newest first" },
      after: { kind: "text", description: "Events that were ordered at this time or later" },
      limit: { kind: "count", maximum: 1000, description: "At most this many (default 50)" },
    },
  },
  {
    ...{ method: "GET", path: "/events/stream", operationId: "followEvents", summary: "Follow the events", tag },
    ...{ operation: "event_wait", response: { kind: "stream" } },
    query: FOLLOWED,
  },
  {
    ...{ method: "GET", path: "/events/ws", operationId: "openEventSocket", tag, operation: "event_wait" },
    ...{ summary: "Follow events and publish them on a WebSocket", query: FOLLOWED },
    response: { kind: "socket", publish: "event_publish_many" },
  },
  {
    ...{ method: "GET", path: "/events/{event}", operationId: "getEvent", summary: "Read an event", tag, response },
    operation: "event_get",
    params: { event: { kind: "segment", maxLength: 64, description: "Cursor of the event" } },
  },
  {
    ...{ ...publish, path: "/api/v1/events", operationId: "ingestEvent", query: INTO },
    ...{ summary: "Publish an event of tas-mcp", body: decoded(["application/json"], decodeTasEvent) },
  },
  {
    ...{ ...publish, path: "/api/v1/events/batch", operationId: "ingestEvents", query: INTO },
    ...{ summary: "Publish events of tas-mcp", body: decoded(["application/json"], decodeTasBatch) },
  },
];
