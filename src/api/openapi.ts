// /openapi.json: a row for every operation, made from its definition, and the HTTP-shaped routes beside them. Made once: it holds nothing of the store and nothing of the caller.

import type { Invoker } from "../operation/invoke.ts";
import {
  COMMON_HEADERS,
  ERRORS,
  IDEMPOTENCY,
  type Json,
  jsonOf,
  POSITION_HEADERS,
  PROBLEM,
  problems,
  ref,
} from "./openapi-parts.ts";
import { httpPaths } from "./openapi-paths.ts";

/** The OpenAPI 3.1 document of this build; admin operations stand in it too, since the gate decides. */
export function openApi(invoker: Invoker, version: string): Json {
  const schemas: Json = { Problem: PROBLEM };
  const paths: Json = { ...httpPaths() };
  for (const { operation, inputSchema, outputSchema } of invoker.registry.list()) {
    const { name, title, description, kind } = operation;
    schemas[`${name}.input`] = plain(inputSchema);
    schemas[`${name}.output`] = plain(outputSchema);
    paths[`/operations/${name}`] = {
      post: {
        operationId: name,
        summary: title,
        description,
        tags: ["operations"],
        parameters: kind === "write" ? [...COMMON_HEADERS, IDEMPOTENCY] : COMMON_HEADERS,
        requestBody: { required: false, content: jsonOf(ref(`${name}.input`)) },
        responses: {
          "200": { description: "The output", headers: POSITION_HEADERS, content: jsonOf(ref(`${name}.output`)) },
          ...problems(kind === "write" ? WRITE_ERRORS : READ_ERRORS),
        },
      },
    };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Cairn",
      version,
      description:
        "The context store of a fleet. Who is calling is what the tailnet proves; there is nothing to log in with.",
    },
    paths,
    components: { schemas, responses: ERRORS },
  };
}

const READ_ERRORS = [400, 403, 404, 410, 413, 415, 429, 500, 503];
const WRITE_ERRORS = [400, 403, 404, 409, 410, 412, 413, 415, 422, 429, 500, 503, 507];

/** The schema without its dialect, which OpenAPI 3.1 has by itself. */
function plain({ $schema: _, ...schema }: Record<string, unknown>): Json {
  return schema;
}
