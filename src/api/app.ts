// The REST surface (design 8): HTTP meaning only, over invoke. Who is calling has been decided before a request gets here.

import { Hono } from "hono";
import type { Caller } from "../access/caller.ts";
import { MAX_DOCUMENT_BYTES } from "../context/index.ts";
import { Fault } from "../lib/fault.ts";
import type { Invoker } from "../operation/invoke.ts";
import { contextRoutes } from "./contexts.ts";
import { openApi } from "./openapi.ts";
import { problemResponse, SAFE_HEADERS } from "./problem.ts";
import { commonHeaders, readJson, readQuery } from "./request.ts";

/** What each request carries beside itself. */
export interface ApiEnv {
  Bindings: { caller: Caller };
}

/** What /health and /ready answer from. */
export interface Health {
  /** Whether the node can serve reads and writes now. */
  ready: boolean;
  status: "ok" | "warning" | "failing";
  /** Shown to readers only (security.md 17). */
  conditions: readonly unknown[];
}

export interface ApiOptions {
  invoker: Invoker;
  version: string;
  health: () => Health;
  nowMs: () => number;
  /** Called with what is no Fault; answers the id under which it was logged. */
  onUnexpected: (error: unknown) => string;
}

/** The mounted REST surface. */
export interface Api {
  fetch(request: Request, caller: Caller): Promise<Response>;
}

/** Methods of each route, for the 405 of a known path (RFC 9110 15.5.6). */
const METHODS: ReadonlyArray<readonly [RegExp, string]> = [
  [/^\/contexts$/, "GET, HEAD"],
  [/^\/contexts\/./, "GET, HEAD, PUT, DELETE"],
  [/^\/operations\/[^/]+$/, "POST"],
  [/^\/(health|ready|openapi\.json)$/, "GET, HEAD"],
];

/** Makes the REST surface over an invoker; requests come with their caller. */
export function createApi(options: ApiOptions): Api {
  const { invoker, version } = options;
  const app = new Hono<ApiEnv>();

  app.get("/health", (c) => healthAnswer(options, c.env.caller, 200));
  app.get("/ready", (c) => healthAnswer(options, c.env.caller, options.health().ready ? 200 : 503));
  app.get("/openapi.json", (c) => {
    readQuery(c.req.url, []);
    requireReader(invoker, c.env.caller);
    return answerJson(openApi(invoker, version));
  });
  app.post("/operations/:name", async (c) => {
    readQuery(c.req.url, []);
    const body = await readJson(c.req.raw, MAX_BODY_BYTES);
    const input =
      typeof body === "object" && body !== null && !Array.isArray(body)
        ? { ...commonHeaders(c.req.raw), ...body }
        : body;
    const answer = await invoker.invoke({
      operation: c.req.param("name"),
      input,
      caller: c.env.caller,
      signal: c.req.raw.signal,
    });
    return answerJson(answer.output, { "Cairn-Position": answer.position });
  });
  app.route("/", contextRoutes(invoker));

  app.notFound((c) => problemResponse(notFound(c.req.method, c.req.path), allowHeader(c.req.path)));
  app.onError((error) => {
    if (error instanceof Fault) return problemResponse(error);
    const id = options.onUnexpected(error);
    return problemResponse(
      new Fault("internal", `The request failed unexpectedly (error ${id})`, { details: { error_id: id } }),
    );
  });

  return { fetch: async (request, caller) => app.fetch(request, { caller }) };
}

/** A document, and room for its escapes and the arguments around it. */
const MAX_BODY_BYTES = 2 * MAX_DOCUMENT_BYTES;

function healthAnswer(options: ApiOptions, caller: Caller, status: number): Response {
  const health = options.health();
  const shown = options.invoker.rights(caller).grants.length > 0;
  const body = {
    status: health.status,
    ready: health.ready,
    timestamp: new Date(options.nowMs()).toISOString(),
    version: options.version,
    ...(shown ? { conditions: health.conditions } : {}),
  };
  return answerJson(body, status === 503 ? { "Retry-After": "1" } : {}, status);
}

function requireReader(invoker: Invoker, caller: Caller): void {
  if (invoker.rights(caller).grants.length > 0) return;
  throw new Fault("forbidden", "Reading /openapi.json needs the role reader in some space", {
    hint: "Call whoami to see the grant that is missing.",
  });
}

function answerJson(body: unknown, headers: Record<string, string> = {}, status = 200): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { ...SAFE_HEADERS, ...headers, "Content-Type": "application/json" },
  });
}

function allowHeader(path: string): Record<string, string> {
  const allowed = METHODS.find(([route]) => route.test(path))?.[1];
  return allowed === undefined ? {} : { Allow: allowed };
}

function notFound(method: string, path: string): Fault {
  const allowed = allowHeader(path)["Allow"];
  if (allowed !== undefined)
    return new Fault("method_not_allowed", `${method} is not allowed here`, { hint: `Allowed are ${allowed}.` });
  return new Fault("not_found", `There is no route ${path.slice(0, 100)}`, {
    hint: "GET /openapi.json lists the routes.",
  });
}
