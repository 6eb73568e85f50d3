// The routes of tas-mcp's targets, under its own paths.

import { textOfUtf8, withoutBom } from "../../../../lib/utf8.ts";
import type { DecodedBody, RawBody, RestRoute } from "../../../../operation/rest-route.ts";

const tag = "events";
const response = { kind: "json" } as const;
const MAX_BODY_BYTES = 131_072;
const query = {
  space: { kind: "text", description: "Space of the events (default: default)" },
} as const;
const params = { id: { kind: "segment", maxLength: 64, description: "The target" } } as const;
const TARGETS = "/api/v1/forwarding/targets";
const body = {
  kind: "decoded",
  members: ["target"],
  types: ["application/json"],
  maxBytes: MAX_BODY_BYTES,
  decode: ({ bytes }: RawBody): DecodedBody => ({ input: { target: withoutBom(textOfUtf8(bytes, "The body")) } }),
} as const;

/** The routes. */
export const tasRoutes: readonly RestRoute[] = [
  {
    ...{ method: "GET", path: TARGETS, operationId: "listForwardingTargets", tag, response, query },
    ...{ summary: "List targets, as tas-mcp does", operation: "tas_target_list" },
  },
  {
    ...{ method: "POST", path: TARGETS, operationId: "addForwardingTarget", tag, query, body },
    ...{ summary: "Declare a target, as tas-mcp does", operation: "tas_target_create" },
    response: { kind: "json", created: "always" },
    errors: [409],
  },
  {
    ...{ method: "GET", path: `${TARGETS}/{id}`, operationId: "getForwardingTarget", tag, response, query, params },
    ...{ summary: "Show a target, as tas-mcp does", operation: "tas_target_get" },
  },
  {
    ...{
      method: "PUT",
      path: `${TARGETS}/{id}`,
      operationId: "putForwardingTarget",
      tag,
      response,
      query,
      params,
      body,
    },
    ...{ summary: "Replace a target, as tas-mcp does", operation: "tas_target_update" },
  },
  {
    ...{
      method: "DELETE",
      path: `${TARGETS}/{id}`,
      operationId: "removeForwardingTarget",
      tag,
      response,
      query,
      params,
    },
    ...{ summary: "Remove a target, as tas-mcp does", operation: "tas_target_remove" },
  },
  {
    ...{ method: "POST", path: `${TARGETS}/{id}/test`, operationId: "testForwardingTarget", tag, response, params },
    ...{ summary: "Send a target one event of a test", operation: "event_target_test" },
  },
  {
    ...{ method: "GET", path: "/api/v1/forwarding/metrics", operationId: "getForwardingMetrics", tag, response, query },
    ...{ summary: "Counters of targets, as tas-mcp shows them", operation: "tas_forwarding_metrics" },
  },
];
