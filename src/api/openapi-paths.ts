// The HTTP-shaped routes of /openapi.json: what places.ts, contexts.ts, changes.ts and node-routes.ts answer. A test holds every row against real answers.

import {
  COMMON_HEADERS,
  header,
  IDEMPOTENCY,
  IF_MATCH,
  IF_NONE_MATCH,
  type Json,
  jsonOf,
  POSITION_HEADERS,
  problems,
  query,
  ref,
} from "./openapi-parts.ts";
import { PATCHES } from "./places.ts";

const text: Json = { type: "string" };
const count: Json = { type: "integer", minimum: 1 };
const READ_ERRORS = [400, 403, 404, 410, 429, 500, 503];
const WRITE_ERRORS = [400, 403, 404, 410, 412, 413, 415, 422, 429, 500, 503, 507];

const tagged: Json = { ...POSITION_HEADERS, ETag: { description: "Version and content hash", schema: text } };
const stored: Json = {
  ...tagged,
  "Cairn-Version": { schema: { type: "integer" } },
  "Cairn-Author": { description: "Percent-encoded", schema: text },
  "Cairn-Content-Type": { description: "The stored type; Content-Type is only ever JSON or plain text", schema: text },
  "Last-Modified": { schema: text },
};
const document: Json = { "application/json": {}, "text/plain": { schema: text } };
const stream: Json = {
  "text/event-stream": {
    schema: text,
    description:
      "Events `change` with the data of context_wait's changes and their position as id; one `end` with a reason",
  },
};

function get(
  operationId: string,
  summary: string,
  parameters: readonly Json[],
  ok: Json,
  errors: readonly number[],
): Json {
  return {
    operationId,
    summary,
    tags: ["contexts"],
    parameters: [...COMMON_HEADERS, ...parameters],
    responses: { ...ok, ...problems(errors) },
  };
}

function write(operationId: string, summary: string, parts: Json, ok: Json, errors: readonly number[]): Json {
  const { parameters = [], ...rest } = parts as { parameters?: readonly Json[] };
  return {
    operationId,
    summary,
    tags: ["contexts"],
    parameters: [...COMMON_HEADERS, IDEMPOTENCY, ...parameters],
    ...rest,
    responses: { ...ok, ...problems(errors) },
  };
}

/** `200` with the output of an operation. */
function output(operation: string, headers: Json = POSITION_HEADERS, status = "200"): Json {
  return { [status]: { description: "The output", headers, content: jsonOf(ref(`${operation}.output`)) } };
}

const found: Json = {
  "200": { description: "The stored text", headers: stored, content: document },
  "304": { description: "The client has it already", headers: stored },
};
const written = (operation: string): Json => ({
  ...output(operation, tagged),
  ...output(operation, tagged, "201"),
});
const followed: Json = { "200": { description: "The stream", headers: POSITION_HEADERS, content: stream } };
const since = query("since", text, "Changes after this position; left out: from now on");
const lastEventId = header("Last-Event-ID", "Where an earlier stream stopped; wins over since");

/** All paths that are no operation. */
export function httpPaths(): Json {
  return { ...contextPaths(), ...feedPaths(), ...nodePaths() };
}

function contextPaths(): Json {
  const id = {
    name: "id",
    in: "path",
    required: true,
    schema: { type: "string", minLength: 1, maxLength: 256 },
    description: "Context id; / plain or percent-encoded",
  };
  const under = (rest: Json): Json => ({ parameters: [id], ...rest });
  const page = [query("limit", count, "At most this many"), query("cursor", text, "The cursor of the page before")];
  const versionPath = { name: "version", in: "path", required: true, schema: count };
  return {
    "/contexts": {
      get: get(
        "listContexts",
        "List contexts",
        [
          query("prefix", text, "Only ids that start with this text"),
          query("tag", text, "Only contexts with this tag"),
          query("updated_since", text, "Only contexts written at or after this time (ISO 8601)"),
          query("fields", text, "Only these fields of each context, separated by commas"),
          ...page,
        ],
        output("context_list"),
        READ_ERRORS,
      ),
    },
    "/contexts/{id}": under({
      get: get(
        "getContext",
        "Read a context",
        [
          query("version", count, "An earlier version"),
          query("at", text, "A position: the document as it was then"),
          IF_NONE_MATCH,
        ],
        found,
        READ_ERRORS,
      ),
      put: write(
        "putContext",
        "Write a context",
        {
          parameters: [
            IF_MATCH,
            IF_NONE_MATCH,
            query("title", text, "A short title"),
            query("tag", { type: "array", items: text }, "A tag; may be given several times"),
          ],
          requestBody: { required: true, content: document },
        },
        written("context_put"),
        WRITE_ERRORS,
      ),
      patch: write(
        "patchContext",
        "Change a part of a context",
        {
          parameters: [IF_MATCH],
          requestBody: { required: true, content: Object.fromEntries(Object.keys(PATCHES).map((type) => [type, {}])) },
        },
        output("context_patch", tagged),
        [...WRITE_ERRORS, 409],
      ),
      delete: write(
        "deleteContext",
        "Delete a context",
        { parameters: [IF_MATCH] },
        { "204": { description: "Deleted", headers: POSITION_HEADERS } },
        WRITE_ERRORS,
      ),
    }),
    "/contexts/{id}/metadata": under({
      get: get("getMetadata", "Metadata of a context", [], output("context_metadata", tagged), READ_ERRORS),
    }),
    "/contexts/{id}/versions": under({
      get: get("listVersions", "History of a context", page, output("context_history"), READ_ERRORS),
    }),
    "/contexts/{id}/versions/{version}": {
      parameters: [id, versionPath],
      get: get("getVersion", "Read one version", [IF_NONE_MATCH], found, READ_ERRORS),
    },
    "/contexts/{id}/diff": under({
      get: get(
        "diffVersions",
        "Difference of two versions",
        [
          query("from", count, "The older version", true),
          query("to", count, "The newer version; left out: the newest"),
          query("format", { type: "string", enum: ["json-patch", "text"] }, "Left out: by the type of the document"),
        ],
        output("context_diff"),
        [...READ_ERRORS, 415],
      ),
    }),
    "/contexts/{id}/restore": under({
      post: write(
        "restoreVersion",
        "Restore an earlier version",
        {
          parameters: [IF_MATCH],
          requestBody: {
            required: true,
            content: jsonOf({
              type: "object",
              required: ["version"],
              properties: { version: count },
              additionalProperties: false,
            }),
          },
        },
        written("context_restore"),
        WRITE_ERRORS,
      ),
    }),
    "/contexts/{id}/stream": under({
      get: get("followContext", "Follow a context", [since, lastEventId], followed, READ_ERRORS),
    }),
  };
}

function feedPaths(): Json {
  return {
    "/changes": {
      get: get(
        "followChanges",
        "Follow the changes",
        [
          since,
          query("prefix", text, "Only ids that start with this text"),
          query("feed", { type: "string", enum: ["sse", "longpoll"] }, "Left out: by Accept"),
          query("timeout", { type: "integer", minimum: 0, maximum: 300 }, "Seconds, for longpoll (default 25)"),
          query("limit", { ...count, maximum: 100 }, "At most this many, for longpoll (default 100)"),
          lastEventId,
        ],
        {
          "200": {
            description: "The stream, or the answer of a long poll",
            headers: POSITION_HEADERS,
            content: { ...stream, ...jsonOf(ref("context_wait.output")) },
          },
        },
        READ_ERRORS,
      ),
    },
  };
}

function nodePaths(): Json {
  const health = {
    type: "object",
    required: ["status", "ready", "timestamp", "version"],
    properties: {
      status: { type: "string", enum: ["ok", "warning", "failing"] },
      ready: { type: "boolean" },
      timestamp: text,
      version: text,
      conditions: { type: "array", items: { type: "object" }, description: "For callers with a role" },
    },
    additionalProperties: false,
  };
  const self = {
    type: "object",
    required: ["version", "fleet", "fleet_id", "leader", "epoch", "position", "role", "surfaces"],
    properties: {
      version: text,
      fleet: { ...text, description: "Name of the fleet" },
      fleet_id: text,
      leader: { ...text, description: "StableNodeID of the member that orders writes; empty: none is known" },
      epoch: text,
      position: text,
      role: { type: "string", enum: ["central", "regional", "edge"] },
      surfaces: { type: "object", additionalProperties: text },
    },
    additionalProperties: false,
  };
  const about = (operationId: string, summary: string, responses: Json): Json => ({
    get: { operationId, summary, tags: ["node"], responses },
  });
  return {
    "/health": about("health", "How the node does", {
      "200": { description: "It answers", content: jsonOf(health) },
      ...problems([400, 500]),
    }),
    "/ready": about("ready", "Whether the node serves", {
      "200": { description: "It serves", content: jsonOf(health) },
      "503": {
        description: "Not now",
        headers: { "Retry-After": { schema: { type: "integer" } } },
        content: jsonOf(health),
      },
      ...problems([400, 500]),
    }),
    "/metrics": about("metrics", "Metrics for Prometheus, for readers of *", {
      "200": { description: "The text format", content: { "text/plain": { schema: text } } },
      ...problems([400, 403, 500]),
    }),
    "/openapi.json": about("openapi", "This description", {
      "200": { description: "OpenAPI 3.1", content: jsonOf({ type: "object" }) },
      ...problems([400, 403, 500]),
    }),
    "/.well-known/cairn": about("wellKnown", "What this node is", {
      "200": { description: "Fleet, epoch, position and surfaces", content: jsonOf(self) },
      ...problems([400, 403, 500]),
    }),
  };
}
