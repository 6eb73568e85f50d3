// The paths of /openapi.json that the table of routes describes. A test holds every row against real answers.

import type {
  Condition,
  PathParameter,
  QueryParameter,
  RestRoute,
  RouteBody,
  RouteResponse,
} from "../operation/rest-route.ts";
import {
  COMMON_HEADERS,
  header,
  IDEMPOTENCY,
  IF_MATCH,
  IF_NONE_MATCH,
  type Json,
  jsonOf,
  POSITION_HEADER,
  POSITION_HEADERS,
  problems,
  query,
  ref,
} from "./openapi-parts.ts";
import type { NodeRoute, Row } from "./route.ts";

const text: Json = { type: "string" };
const count: Json = { type: "integer", minimum: 1 };
const READ_ERRORS = [400, 403, 404, 410, 429, 500, 503];
const WRITE_ERRORS = [400, 403, 404, 410, 412, 413, 415, 422, 429, 500, 503, 507];

/** Returns the paths of all rows except those that stand for a path of each operation. */
export function pathsOf(rows: readonly Row[]): Json {
  const described = rows.filter((row) => "operation" in row || row.perOperation !== true);
  const paths = [...Map.groupBy(described, ({ path }) => path)].map(([path, methods]) => {
    const params = Object.entries(methods[0]?.params ?? {}).map(pathParameter);
    const items = Object.fromEntries(methods.map((row) => [row.method.toLowerCase(), describeRow(row)]));
    return [path, { ...(params.length === 0 ? {} : { parameters: params }), ...items }];
  });
  return Object.fromEntries(paths);
}

/** Returns the statuses of problems of a row. */
export function errorsOf(row: Row): readonly number[] {
  if ("parts" in row) return row.errors;
  return [...(row.method === "GET" ? READ_ERRORS : WRITE_ERRORS), ...(row.errors ?? [])];
}

/** Returns what OpenAPI says of one row. */
export function describeRow(row: Row): Json {
  const { operationId, summary, tag } = row;
  const parts = "parts" in row ? row.parts : partsOf(row);
  const responses = { ...parts.responses, ...problems(errorsOf(row)) };
  return { operationId, summary, tags: [tag], ...parts, responses };
}

function partsOf(route: RestRoute): NodeRoute["parts"] {
  const { method, query: parameters = {}, conditions = [], body, response } = route;
  return {
    parameters: [
      ...COMMON_HEADERS,
      ...(method === "GET" ? [] : [IDEMPOTENCY]),
      ...Object.entries(parameters).map(queryParameter),
      ...conditions.map((name) => CONDITIONS[name]),
      ...(response.kind === "stream" ? [LAST_EVENT_ID] : []),
      ...(response.kind === "bytes" ? [RANGE, IF_RANGE] : []),
      ...(body?.kind === "decoded" ? Object.entries(body.headers ?? {}).map(([name, said]) => header(name, said)) : []),
    ],
    ...(body === undefined ? {} : { requestBody: { required: true, content: bodyContent(body, route.operation) } }),
    responses: responsesOf(route.operation, response, conditions, body?.kind === "decoded"),
  };
}

const CONDITIONS: Readonly<Record<Condition, Json>> = { "if-match": IF_MATCH, "if-none-match": IF_NONE_MATCH };
const LAST_EVENT_ID = header("Last-Event-ID", "Where an earlier stream stopped; wins over since");

const RANGE = header("Range", "One range of bytes, such as bytes=1048576-; several are answered with the whole");
const IF_RANGE = header("If-Range", "The ETag for which the range is meant; for another one the whole is the answer");

function pathParameter([name, { kind, maxLength, description }]: [string, PathParameter]): Json {
  const bounds = { minLength: 1, ...(maxLength === undefined ? {} : { maxLength }) };
  const schema = kind === "count" ? count : { type: "string", ...bounds };
  return { name, in: "path", required: true, schema, ...(description === undefined ? {} : { description }) };
}

function queryParameter([name, parameter]: [string, QueryParameter]): Json {
  return query(name, querySchema(parameter), parameter.description, parameter.required === true);
}

function querySchema({ kind, choices, minimum = 1, maximum }: QueryParameter): Json {
  if (kind === "flag") return { type: "boolean" };
  if (kind === "repeated") return { type: "array", items: text };
  if (kind === "count") return { type: "integer", minimum, ...(maximum === undefined ? {} : { maximum }) };
  return choices === undefined ? text : { type: "string", enum: choices };
}

const DOCUMENT: Json = { "application/json": {}, "text/plain": { schema: text } };

function bodyContent(body: RouteBody, operation: string): Json {
  switch (body.kind) {
    case "document":
      return DOCUMENT;
    case "patch":
      return Object.fromEntries(Object.keys(body.types).map((type) => [type, {}]));
    case "decoded":
      return Object.fromEntries(body.types.map((type) => [type, {}]));
    case "json":
      return jsonOf({
        type: "object",
        ...(body.required === undefined ? {} : { required: body.required }),
        properties: Object.fromEntries(
          body.members.map((name) => [name, ref(`${operation}.input/properties/${name}`)]),
        ),
        additionalProperties: false,
      });
  }
}

const DURABILITY: Json = {
  "Cairn-Durability": {
    description: "Which promise the log of events gives, such as replicated; voters=3; sync=always",
    schema: text,
  },
};
const TAGGED: Json = { ...POSITION_HEADERS, ETag: { description: "Version and content hash", schema: text } };
const STORED: Json = {
  ...TAGGED,
  "Cairn-Content-Type": { description: "The stored type; Content-Type is only ever JSON or plain text", schema: text },
  "Last-Modified": { schema: text },
};

const SHAPED: Json = { type: "object", description: "The output, in the form that goes with the body" };

function streamOf(operation: string): Json {
  const data = `the data of ${operation}'s changes and their position as id`;
  const description = `Events \`change\` with ${data}, those of \`/events/stream\` without a name; one \`end\` with a reason`;
  return { "text/event-stream": { schema: text, description } };
}

/** `isShaped`: the body decides about the form of the answer. */
function responsesOf(
  operation: string,
  response: RouteResponse,
  conditions: readonly Condition[],
  isShaped: boolean,
): Json {
  switch (response.kind) {
    case "json": {
      const headers = {
        ...(response.etag === true ? TAGGED : POSITION_HEADERS),
        ...(response.durability === true ? DURABILITY : {}),
      };
      const output = {
        description: "The output",
        headers,
        content: jsonOf(isShaped ? SHAPED : ref(`${operation}.output`)),
      };
      if (response.created === "always") return { "201": output };
      const begun = { ...output, description: "The output: it is not done yet" };
      return {
        "200": output,
        ...(response.created === true ? { "201": output } : {}),
        ...(response.accepted === undefined ? {} : { "202": begun }),
      };
    }
    case "document": {
      const own = Object.entries(response.headers).map(([name, { type, ...said }]) => [
        name,
        { ...said, schema: { type } },
      ]);
      const headers = { ...STORED, ...Object.fromEntries(own) };
      const known = { "304": { description: "The client has it already", headers } };
      return {
        "200": { description: "The stored text", headers, content: DOCUMENT },
        ...(conditions.includes("if-none-match") ? known : {}),
      };
    }
    case "bytes": {
      const headers = { ...STORED, "Accept-Ranges": { schema: text } };
      const content = { "application/octet-stream": {} };
      return {
        "200": { description: "The bytes", headers, content },
        "206": {
          description: "The range of Range",
          headers: { ...headers, "Content-Range": { schema: text } },
          content,
        },
        "304": { description: "The client has them already", headers },
      };
    }
    case "empty":
      return { "204": { description: response.description, headers: POSITION_HEADERS } };
    case "socket":
      return { "101": { description: "A WebSocket: messages are JSON, see docs/event-guide.md" } };
    case "stream": {
      const polled = response.longPoll === undefined ? {} : jsonOf(ref(`${operation}.output`));
      const description = response.longPoll === undefined ? "The stream" : "The stream, or the answer of a long poll";
      return { "200": { description, headers: POSITION_HEADER, content: { ...streamOf(operation), ...polled } } };
    }
  }
}
