// The node's own routes (architecture.md 8): health, readiness, metrics, the description of the surface, what the node
// is, and any operation by its name. The facts come from the node; which callers may see them is decided here
// (security.md 17).

import type { Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { tracedBy } from "../operation/call-span.ts";
import { contentResponse, freshnessOf, jsonResponse } from "./content.ts";
import type { Health } from "./node-facts.ts";
import {
  COMMON_HEADERS,
  HEALTH,
  IDEMPOTENCY,
  jsonOf,
  operationErrors,
  POSITION_HEADERS,
  SELF,
} from "./openapi-parts.ts";
import { clientOf, commonHeaders, conditionsOf, readJson } from "./request.ts";
import type { NodeRoute, NodeSurface, RouteCall } from "./route.ts";

const tag = "node";
const ANY_RIGHT = "a role in some space";

/** The rows of the node itself. */
export const nodeRoutes: readonly NodeRoute[] = [
  {
    method: "GET",
    path: "/health",
    operationId: "health",
    summary: "Health of the node",
    tag,
    right: `none; conditions with ${ANY_RIGHT}, and their texts with the role \`reader\` in \`*\``,
    parts: { responses: { "200": { description: "It answers", content: jsonOf(HEALTH) } } },
    errors: [400, 500],
    respond: (call, node) => respondHealth(call, node, {}),
  },
  {
    method: "GET",
    path: "/ready",
    operationId: "ready",
    summary: "Whether the node serves",
    tag,
    right: `none; conditions with ${ANY_RIGHT}, and their texts with the role \`reader\` in \`*\``,
    parts: {
      responses: {
        "200": { description: "It serves", content: jsonOf(HEALTH) },
        "503": {
          description: "Not now",
          headers: { "Retry-After": { schema: { type: "integer" } } },
          content: jsonOf(HEALTH),
        },
      },
    },
    errors: [400, 500],
    respond: (call, node) =>
      respondHealth(call, node, node.facts.health().ready ? {} : { status: 503, headers: { "Retry-After": "1" } }),
  },
  {
    method: "GET",
    path: "/metrics",
    operationId: "metrics",
    summary: "Metrics for Prometheus, for readers of *",
    tag,
    right: "the role `reader` in `*`, by that word in one grant",
    parts: {
      responses: {
        "200": { description: "The text format", content: { "text/plain": { schema: { type: "string" } } } },
      },
    },
    errors: [400, 403, 429, 500],
    respond: respondMetrics,
  },
  {
    method: "GET",
    path: "/openapi.json",
    operationId: "openapi",
    summary: "This description",
    tag,
    right: ANY_RIGHT,
    parts: { responses: { "200": { description: "OpenAPI 3.1", content: jsonOf({ type: "object" }) } } },
    errors: [400, 403, 429, 500],
    respond: respondDescription,
  },
  {
    method: "GET",
    path: "/.well-known/cairn",
    operationId: "wellKnown",
    summary: "What this node is",
    tag,
    right: `${ANY_RIGHT}, or a device that could join the fleet`,
    parts: { responses: { "200": { description: "Fleet, epoch, position and surfaces", content: jsonOf(SELF) } } },
    errors: [400, 403, 500],
    respond: respondSelf,
  },
  {
    method: "POST",
    path: "/operations/{name}",
    params: { name: { kind: "segment", description: "Name of the operation" } },
    operationId: "callOperation",
    summary: "Call any operation, JSON in and out",
    tag: "operations",
    right: "that of the operation",
    parts: {
      parameters: [...COMMON_HEADERS, IDEMPOTENCY],
      requestBody: { required: false, content: jsonOf({ type: "object" }) },
      responses: {
        "200": { description: "The output", headers: POSITION_HEADERS, content: jsonOf({ type: "object" }) },
      },
    },
    perOperation: true,
    errors: operationErrors("write"),
    respond: respondOperation,
  },
];

function hasRights(caller: Caller, { invoker }: NodeSurface): boolean {
  return invoker.rights(caller).permitsAnything();
}

function respondHealth(
  { request, caller }: RouteCall,
  node: NodeSurface,
  as: { status?: number; headers?: Record<string, string> },
): Promise<Response> {
  const { facts, invoker } = node;
  const rights = invoker.rights(caller);
  const reads = (space: string) => rights.mayUse({ verb: "read", operation: "health", space });
  const { status, ready, conditions } = facts.health(reads);
  const timestamp = new Date(facts.nowMs()).toISOString();
  const shown = hasRights(caller, node) ? { conditions: conditionsFor(caller, conditions, node) } : {};
  return jsonResponse(request, { status, ready, timestamp, version: facts.version, ...shown }, as);
}

/** The texts name paths, logins and spaces: only callers that may read all spaces get them. */
function conditionsFor(
  caller: Caller,
  conditions: Health["conditions"],
  { invoker }: NodeSurface,
): Health["conditions"] {
  const isWhole = invoker.rights(caller).mayUseEverywhere({ verb: "read", operation: "health" });
  return isWhole ? conditions : conditions.map((condition) => ({ ...condition, text: "" }));
}

/** Numbers over all spaces are for callers who may read all of them by one grant, not by a sum of narrower ones. */
function respondMetrics({ request, caller }: RouteCall, { invoker, facts }: NodeSurface): Promise<Response> {
  const isAllowed = invoker.rights(caller).mayUseEverywhere({ verb: "read", operation: "metrics" });
  if (!isAllowed) throw forbidden("/metrics", 'the role reader on "*"');
  invoker.countRequest(caller);
  return contentResponse(request, { text: facts.metrics(), type: "text/plain; version=0.0.4; charset=utf-8" });
}

function respondDescription({ request, caller }: RouteCall, node: NodeSurface): Promise<Response> {
  if (!hasRights(caller, node)) throw forbidden("/openapi.json", "the role reader in some space");
  node.invoker.countRequest(caller);
  return contentResponse(request, { text: node.description(), type: "application/json" });
}

function respondSelf({ request, caller }: RouteCall, node: NodeSurface): Promise<Response> {
  const { invoker, facts } = node;
  if (!hasRights(caller, node) && facts.isCandidate?.(caller) !== true)
    throw forbidden("/.well-known/cairn", "the role reader in some space, or the fleet's own tag");
  const { fleetId, fleet, leader, role, surfaces } = facts.identity();
  const position = invoker.position();
  return jsonResponse(request, {
    version: facts.version,
    fleet,
    fleet_id: fleetId,
    leader,
    epoch: position.split("-")[0],
    position,
    role,
    surfaces,
  });
}

async function respondOperation(call: RouteCall, { invoker }: NodeSurface): Promise<Response> {
  const { request, caller, params } = call;
  conditionsOf(request, []);
  const operation = String(params["name"]);
  const client = clientOf(request);
  invoker.refuseUnread(operation, { caller, client }, {}, "rest");
  const body = await readJson(call, invoker.registry.maxInputBytes(operation));
  const found = await invoker.invoke({
    operation,
    input: isObject(body) ? { ...commonHeaders(request), ...body } : body,
    caller,
    client,
    signal: request.signal,
    surface: "rest",
    ...tracedBy(invoker.isTraced, request),
  });
  return jsonResponse(request, found.output, { headers: freshnessOf(found) });
}

function forbidden(path: string, role: string): Fault {
  return new Fault("forbidden", `Reading ${path} needs ${role}`, {
    hint: "Call whoami to see which grants you have.",
  });
}
