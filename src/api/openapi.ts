// /openapi.json: a row for every operation, made from its definition, and the HTTP-shaped routes of contexts beside them.

import type { Invoker } from "../operation/invoke.ts";

type Json = Record<string, unknown>;

const problem = {
  description: "A problem document (RFC 9457)",
  content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
};
const idParameter = {
  name: "id",
  in: "path",
  required: true,
  schema: { type: "string", minLength: 1, maxLength: 256 },
  description: "Context id; / plain or percent-encoded",
};

/** The OpenAPI 3.1 document of this build; admin operations stand in it too, since the gate decides. */
export function openApi(invoker: Invoker, version: string): Json {
  const paths: Json = { ...contextPaths() };
  for (const { operation, inputSchema, outputSchema } of invoker.registry.list()) {
    paths[`/operations/${operation.name}`] = {
      post: {
        operationId: operation.name,
        summary: operation.title,
        description: operation.description,
        requestBody: { required: true, content: { "application/json": { schema: inputSchema } } },
        responses: {
          "200": { description: "The output", content: { "application/json": { schema: outputSchema } } },
          default: problem,
        },
      },
    };
  }
  for (const route of ["health", "ready"]) {
    paths[`/${route}`] = {
      get: { operationId: route, responses: { "200": { description: "OK" }, "503": { description: "Not ready" } } },
    };
  }
  return {
    openapi: "3.1.0",
    info: { title: "Cairn", version },
    paths,
    components: { schemas: { Problem: problemSchema } },
  };
}

const problemSchema = {
  type: "object",
  required: ["type", "title", "status", "code", "detail", "retryable"],
  properties: {
    type: { type: "string" },
    title: { type: "string" },
    status: { type: "integer" },
    code: { type: "string" },
    detail: { type: "string" },
    hint: { type: "string" },
    retryable: { type: "boolean" },
  },
};

function contextPaths(): Json {
  const text = { "application/json": {}, "text/plain": { schema: { type: "string" } } };
  return {
    "/contexts": {
      get: {
        operationId: "listContexts",
        parameters: ["prefix", "tag", "updated_since", "limit", "cursor"].map((name) => ({
          name,
          in: "query",
          schema: { type: name === "limit" ? "integer" : "string" },
        })),
        responses: { "200": { description: "A page of contexts" }, default: problem },
      },
    },
    "/contexts/{id}": {
      parameters: [idParameter],
      get: {
        operationId: "getContext",
        responses: {
          "200": { description: "The document", content: text },
          "304": { description: "Not modified" },
          default: problem,
        },
      },
      put: {
        operationId: "putContext",
        requestBody: { required: true, content: text },
        responses: { "200": { description: "Updated" }, "201": { description: "Created" }, default: problem },
      },
      delete: { operationId: "deleteContext", responses: { "204": { description: "Deleted" }, default: problem } },
    },
  };
}
