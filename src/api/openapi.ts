// /openapi.json: the routes of the table, and a path for each operation, made from its definition. Made once: it holds
// nothing of the store and nothing of the caller.

import { z } from "zod";
import { isKeyed } from "../operation/define.ts";
import { type OwnEventKind, ownEventData } from "../operation/own-events.ts";
import type { Registry } from "../operation/registry.ts";
import {
  COMMON_HEADERS,
  ERRORS,
  IDEMPOTENCY,
  type Json,
  jsonOf,
  operationErrors,
  POSITION_HEADERS,
  PROBLEM,
  problems,
  ref,
} from "./openapi-parts.ts";
import { pathsOf } from "./openapi-routes.ts";
import type { Row } from "./route.ts";

/** Returns the OpenAPI 3.1 document of this build; it has admin operations too, since the gate decides. */
export function openApi(
  routes: readonly Row[],
  registry: Registry,
  version: string,
  events: ReadonlyMap<string, OwnEventKind> = new Map(),
): Json {
  return {
    openapi: "3.1.0",
    info: {
      title: "Cairn",
      version,
      description:
        "The context store of a fleet. Who is calling is what the tailnet proves; there is nothing to log in with.",
    },
    paths: { ...pathsOf(routes), ...operationPaths(registry) },
    ...(events.size === 0 ? {} : { "x-cairn-events": eventsPart(events) }),
    components: { schemas: { Problem: PROBLEM, ...schemasOf(registry) }, responses: ERRORS },
  };
}

/** What Cairn publishes of what it does, as AsyncAPI has it: messages of one channel, with the schema of their data. */
function eventsPart(events: ReadonlyMap<string, OwnEventKind>): Json {
  const payload = withoutDialect(z.toJSONSchema(ownEventData, { io: "output" }));
  const messages = [...events].map(([type, { when, subject }]): [string, Json] => [
    type,
    { summary: `Published when ${when}. Its subject is ${subject}.`, contentType: "application/json", payload },
  ]);
  return { channel: { address: "/events/stream" }, messages: Object.fromEntries(messages) };
}

function operationPaths(registry: Registry): Json {
  const paths: Json = {};
  for (const { operation } of registry.list()) {
    const { name, title, description, kind } = operation;
    paths[`/operations/${name}`] = {
      post: {
        operationId: name,
        summary: title,
        description,
        tags: ["operations"],
        parameters: isKeyed(operation) ? [...COMMON_HEADERS, IDEMPOTENCY] : COMMON_HEADERS,
        requestBody: { required: false, content: jsonOf(ref(`${name}.input`)) },
        responses: {
          "200": { description: "The output", headers: POSITION_HEADERS, content: jsonOf(ref(`${name}.output`)) },
          ...problems(operationErrors(kind, kind === "read" && operation.atLeader === true)),
        },
      },
    };
  }
  return paths;
}

function schemasOf(registry: Registry): Json {
  const schemas: Json = {};
  for (const { operation, inputSchema, outputSchema } of registry.list()) {
    schemas[`${operation.name}.input`] = withoutDialect(inputSchema);
    schemas[`${operation.name}.output`] = withoutDialect(outputSchema);
  }
  return schemas;
}

/** OpenAPI 3.1 has the dialect by itself. */
function withoutDialect({ $schema: _, ...schema }: Record<string, unknown>): Json {
  return schema;
}
