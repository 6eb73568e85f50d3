// Contexts over HTTP (design 8): paths, conditions, status codes and headers. What a context is and who may touch it is decided below.

import { type Context, Hono } from "hono";
import { isJsonType, MAX_DOCUMENT_BYTES, matchesWeakly, parseCondition } from "../context/index.ts";
import { Fault } from "../lib/fault.ts";
import type { Answer, Invoker } from "../operation/invoke.ts";
import type { ApiEnv } from "./app.ts";
import { SAFE_HEADERS } from "./problem.ts";
import { commonHeaders, essenceOf, numberOf, readQuery, readText } from "./request.ts";

export function contextRoutes(invoker: Invoker): Hono<ApiEnv> {
  const routes = new Hono<ApiEnv>();

  routes.get("/contexts", async (c) => {
    const query = readQuery(c.req.url, ["prefix", "tag", "updated_since", "limit", "cursor"]);
    const answer = await call(c, invoker, "context_list", {
      ...query,
      ...("limit" in query ? { limit: numberOf(query["limit"]) } : {}),
    });
    return json(200, answer);
  });

  routes.get("/contexts/*", async (c) => {
    const query = readQuery(c.req.url, ["version"]);
    const answer = await call(c, invoker, "context_get", {
      id: idOf(c.req.raw),
      format: "text",
      ...("version" in query ? { version: numberOf(query["version"]) } : {}),
    });
    return document(c.req.raw, answer);
  });

  routes.put("/contexts/*", async (c) => {
    const query = readQuery(c.req.url, ["title"], ["tag"]);
    const contentType = c.req.header("content-type");
    if (essenceOf(contentType ?? null) === "" || contentType === undefined) {
      throw new Fault("unsupported_media_type", "The request has no Content-Type", {
        hint: "Send application/json, or a text type such as text/markdown.",
      });
    }
    const answer = await call(c, invoker, "context_put", {
      id: idOf(c.req.raw),
      content: await readText(c.req.raw, MAX_DOCUMENT_BYTES),
      content_type: contentType,
      ...("title" in query ? { title: query["title"] } : {}),
      ...("tag" in query ? { tags: query["tag"] } : {}),
      ...conditions(c.req.raw),
    });
    return json(answer.output["created"] === true ? 201 : 200, answer);
  });

  routes.delete("/contexts/*", async (c) => {
    readQuery(c.req.url, []);
    const { if_none_match: _, ...condition } = conditions(c.req.raw);
    const answer = await call(c, invoker, "context_delete", { id: idOf(c.req.raw), ...condition });
    return new Response(null, { status: 204, headers: { ...SAFE_HEADERS, "Cairn-Position": answer.position } });
  });

  return routes;
}

function call(
  c: Context<ApiEnv>,
  invoker: Invoker,
  operation: string,
  input: Record<string, unknown>,
): Promise<Answer> {
  return invoker.invoke({
    operation,
    input: { ...commonHeaders(c.req.raw), ...input },
    caller: c.env.caller,
    signal: c.req.raw.signal,
  });
}

/** The id behind /contexts/: `/` plain or percent-encoded, decoded exactly once. */
function idOf(request: Request): string {
  const path = new URL(request.url).pathname.slice("/contexts/".length);
  try {
    return decodeURIComponent(path);
  } catch {
    throw new Fault("invalid_input", `The path ${JSON.stringify(path.slice(0, 100))} is not valid percent-encoding`, {
      hint: "Encode the id once, as UTF-8.",
    });
  }
}

function conditions(request: Request): { if_match?: string; if_none_match?: string } {
  const ifMatch = request.headers.get("if-match");
  const ifNoneMatch = request.headers.get("if-none-match");
  return {
    ...(ifMatch === null ? {} : { if_match: ifMatch }),
    ...(ifNoneMatch === null ? {} : { if_none_match: ifNoneMatch }),
  };
}

function json(status: number, answer: Answer): Response {
  const etag = answer.output["etag"];
  return new Response(JSON.stringify(answer.output), {
    status,
    headers: {
      ...SAFE_HEADERS,
      "Content-Type": "application/json",
      "Cairn-Position": answer.position,
      ...(typeof etag === "string" ? { ETag: `"${etag}"` } : {}),
    },
  });
}

/** The stored text itself, only ever as JSON or plain text; its own type stands beside it (security.md 15). */
function document(request: Request, answer: Answer): Response {
  const { etag, content, content_type: storedType, version, author } = answer.output;
  const type = String(storedType);
  const headers = {
    ...SAFE_HEADERS,
    ETag: `"${etag}"`,
    "Cairn-Position": answer.position,
    "Cairn-Version": String(version),
    "Cairn-Author": encodeURI(String(author)),
    "Cairn-Content-Type": type,
    "Last-Modified": new Date(String(answer.output["updated_at"])).toUTCString(),
  };
  const ifNoneMatch = request.headers.get("if-none-match");
  if (ifNoneMatch !== null && matchesWeakly(parseCondition(ifNoneMatch, "If-None-Match"), String(etag))) {
    return new Response(null, { status: 304, headers });
  }
  return new Response(String(content), {
    headers: { ...headers, "Content-Type": isJsonType(type) ? "application/json" : "text/plain; charset=utf-8" },
  });
}
