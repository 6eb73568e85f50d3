// The table of routes: what each row may declare, how paths are matched to rows, and that a feature of a test gets its
// routes by its manifest alone.

import { expect, test } from "bun:test";
import { z } from "zod";
import { routesOf } from "../../src/api/index.ts";
import { Router } from "../../src/api/router.ts";
import { idProblem } from "../../src/features/context/index.ts";
import { FEATURES } from "../../src/features/index.ts";
import { read } from "../../src/operation/define.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import type { Feature } from "../../src/operation/feature.ts";
import { Registry } from "../../src/operation/registry.ts";
import { startCore } from "../kit/core.ts";

const routes = routesOf(FEATURES);
const router = new Router(routes);

/** Returns the operationId of a request, or its methods, and the values of its path. */
function found(method: string, path: string): unknown {
  const match = router.find(`http://cairn${path}`);
  if (match === undefined) return undefined;
  return [match.place.rows.get(method)?.operationId ?? match.place.allow, match.params];
}

test.each([
  ["GET", "/contexts", ["listContexts", {}]],
  ["PUT", "/contexts", ["GET, HEAD, OPTIONS", {}]],
  ["GET", "/contexts/", undefined],
  ["GET", "/contexts/a", ["getContext", { id: "a" }]],
  ["POST", "/contexts/a", ["GET, HEAD, PUT, PATCH, DELETE, OPTIONS", { id: "a" }]],
  ["PUT", "/contexts/a%2Fb/c", ["putContext", { id: "a/b/c" }]],
  ["GET", "/contexts/a%252Fb", ["getContext", { id: "a%2Fb" }]],
  ["GET", "/contexts/a%2Fversions%2F7", ["getVersion", { id: "a", version: 7 }]],
  ["GET", "/contexts/a/versions/07", ["getContext", { id: "a/versions/07" }]],
  ["GET", "/contexts/a/versions", ["listVersions", { id: "a" }]],
  ["GET", "/contexts/a/versions/", ["getContext", { id: "a/versions/" }]],
  ["GET", "/contexts/a/versions/1/metadata", ["getMetadata", { id: "a/versions/1" }]],
  ["GET", "/contexts//metadata", ["getContext", { id: "/metadata" }]],
  ["GET", "/contexts/a%0Ab/diff", ["diffVersions", { id: "a\nb" }]],
  ["POST", "/contexts/a/restore", ["restoreVersion", { id: "a" }]],
  ["GET", "/%68ealth", ["health", {}]],
  ["GET", "/health/", undefined],
  ["POST", "/operations/who%61mi", ["callOperation", { name: "whoami" }]],
  ["POST", "/operations/a%2Fb", ["callOperation", { name: "a/b" }]],
  ["POST", "/operations/%zz", ["callOperation", { name: "%zz" }]],
  ["POST", "/operations/a/b", undefined],
  ["GET", "/context%73/a", undefined],
] as const)("%s %s", (method, path, wanted) => {
  expect(found(method, path)).toEqual(wanted);
});

test("percent-encoding that cannot be read is refused where the path has a wide parameter", () => {
  expect(() => router.find("http://cairn/contexts/%zz")).toThrow("percent-encoding");
});

test("rows have names of their own, and call an operation of the feature that declares them", () => {
  const names = routes.map(({ operationId }) => operationId);
  expect(new Set(names).size).toBe(names.length);
  const paths = routes.map(({ method, path }) => `${method} ${path}`);
  expect(new Set(paths).size).toBe(paths.length);
  for (const feature of FEATURES) {
    const registry = new Registry(operationsOf([feature]));
    for (const { operationId, operation } of feature.rest ?? [])
      expect([operationId, registry.get(operation)?.operation.name]).toEqual([operationId, operation]);
  }
});

test("what a row declares are arguments of its operation", () => {
  const registry = new Registry(operationsOf(FEATURES));
  for (const row of routes) {
    if (!("operation" in row)) continue;
    const { params = {}, query = {}, constants = {}, conditions = [], body, response, method } = row;
    const chooses = response.kind === "stream" ? response.longPoll?.choose : undefined;
    const given = [
      ...Object.keys(params),
      ...Object.keys(constants),
      ...Object.entries(query).flatMap(([name, { argument = name }]) => (name === chooses ? [] : [argument])),
      ...(method === "GET" ? [] : conditions.map((name) => name.replaceAll("-", "_"))),
      ...(body === undefined ? [] : "members" in body ? body.members : [body.argument, body.typeArgument]),
    ];
    const known = Object.keys((registry.get(row.operation)?.inputSchema["properties"] ?? {}) as object);
    expect([row.operationId, given.filter((name) => !known.includes(name))]).toEqual([row.operationId, []]);
    const required = (registry.get(row.operation)?.inputSchema["required"] ?? []) as string[];
    expect([row.operationId, required.filter((name) => !given.includes(name))]).toEqual([row.operationId, []]);
  }
});

test("no context id has a segment that is a route below a context", () => {
  const below = routes.flatMap(({ path }) => (path.startsWith("/contexts/{id}/") ? path.split("/").slice(3) : []));
  const literal = below.filter((segment) => !segment.startsWith("{"));
  expect(literal.length).toBeGreaterThan(4);
  for (const segment of literal) expect([segment, idProblem(`a/${segment}`)]).toEqual([segment, expect.any(String)]);
});

test("a feature brings its routes by its manifest", async () => {
  const echo = read({
    name: "echo",
    title: "Echo",
    description: "Returns its input.",
    input: z.object({ name: z.string(), n: z.number().optional(), words: z.array(z.string()).optional() }),
    output: z.object({ name: z.string(), n: z.number().optional(), words: z.array(z.string()).optional() }),
    access: { verb: "read", spaces: "visible" },
    run: (_reader, input) => input,
  });
  const feature: Feature = {
    name: "echo",
    operations: () => [echo],
    rest: [
      {
        method: "GET",
        path: "/echo/{name}",
        params: { name: { kind: "segment" } },
        operationId: "echo",
        summary: "Echo",
        tag: "echo",
        operation: echo.name,
        query: {
          count: { kind: "count", argument: "n", description: "A number" },
          words: { kind: "list", description: "Words" },
        },
        response: { kind: "json" },
      },
    ],
  };
  await using core = startCore({ features: [feature] });
  expect(await (await core.http("/echo/a%2Fb?count=7&words=x,y")).json()).toEqual({
    name: "a/b",
    n: 7,
    words: ["x", "y"],
  });
  expect((await core.http("/echo/a?count=x")).status).toBe(400);
  expect((await core.http("/echo/a", { method: "PUT" })).headers.get("allow")).toBe("GET, HEAD, OPTIONS");
  expect((await core.http("/echo/a", { method: "OPTIONS" })).headers.get("allow")).toBe("GET, HEAD, OPTIONS");
  const { paths } = (await (await core.http("/openapi.json")).json()) as { paths: Record<string, unknown> };
  expect(paths["/echo/{name}"]).toMatchObject({ get: { operationId: "echo" } });
  expect((await core.http("/contexts/a")).status).toBe(404);
});
