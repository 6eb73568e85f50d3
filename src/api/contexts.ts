// Contexts over HTTP (architecture.md 8): conditions, status codes and headers. What a context is and who may touch it is decided below.

import { type Context, Hono } from "hono";
import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { essenceOf, isJsonType } from "../lib/media-type.ts";
import type { Answer } from "../operation/answer.ts";
import type { Invoker } from "../operation/invoke.ts";
import { answerJson, freshnessOf, answer as respond } from "./answer.ts";
import type { ApiEnv } from "./env.ts";
import { ACCEPT_PATCH, METHODS_OF, PATCHES, type Place, type Placed, placeOf } from "./places.ts";
import { SAFE_HEADERS } from "./problem.ts";
import { commonHeaders, conditionsOf, numberOf, readJson, readQuery, readText } from "./request.ts";

/** A document. */
const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;
/** A restore names a version and nothing else. */
const MAX_RESTORE_BYTES = 1024;

type Handler = (request: Request, placed: Placed, call: Caller) => Promise<Response>;
type Caller = (operation: string, input: Record<string, unknown>) => Promise<Answer>;

/** Opens a stream of changes; streams live in changes.ts. */
export type OpenStream = (c: Context<ApiEnv>, about: { id: string }) => Promise<Response>;

const HANDLERS: Readonly<Record<Exclude<Place, "stream">, Readonly<Record<string, Handler>>>> = {
  document: { GET: getDocument, PUT: putDocument, PATCH: patchDocument, DELETE: deleteDocument },
  metadata: { GET: getMetadata },
  versions: { GET: getVersions },
  version: { GET: getVersion },
  diff: { GET: getDiff },
  restore: { POST: restore },
};

export function contextRoutes(invoker: Invoker, openStream: OpenStream): Hono<ApiEnv> {
  const routes = new Hono<ApiEnv>();

  routes.get("/contexts", async (c) => {
    const { limit, fields, ...query } = readQuery(c.req.url, [
      "prefix",
      "tag",
      "updated_since",
      "limit",
      "cursor",
      "fields",
    ]);
    const found = await callerOf(c, invoker)("context_list", {
      ...query,
      ...(limit === undefined ? {} : { limit: numberOf(limit) }),
      ...(typeof fields === "string" ? { fields: fields.split(",") } : {}),
    });
    return json(c.req.raw, found);
  });

  routes.all("/contexts/*", async (c) => {
    const request = c.req.raw;
    const placed = placeOf(request.url);
    if (placed === undefined) return c.notFound();
    const method = request.method === "HEAD" ? "GET" : request.method;
    if (placed.place === "stream") {
      if (method === "GET") return openStream(c, { id: placed.id });
      throw notAllowed(request.method, METHODS_OF.stream);
    }
    const handler = HANDLERS[placed.place][method];
    if (handler === undefined) throw notAllowed(request.method, METHODS_OF[placed.place]);
    return handler(request, placed, callerOf(c, invoker));
  });

  return routes;
}

/** The refusal of a method at a known place; `details.allow` becomes the header. */
export function notAllowed(method: string, allow: string): Fault {
  return new Fault("method_not_allowed", `${method} is not allowed here`, {
    hint: `Allowed are ${allow}.`,
    details: { allow },
  });
}

function callerOf(c: Context<ApiEnv>, invoker: Invoker): Caller {
  const request = c.req.raw;
  return (operation, input) =>
    invoker.invoke({
      operation,
      input: { ...commonHeaders(request), ...input },
      caller: c.env.caller,
      signal: request.signal,
      surface: "rest",
    });
}

async function getDocument(request: Request, { id }: Placed, call: Caller): Promise<Response> {
  const { version, ...query } = readQuery(request.url, ["version", "at"]);
  const found = await call("context_get", {
    id,
    format: "text",
    ...query,
    ...(version === undefined ? {} : { version: numberOf(version) }),
  });
  return document(request, found);
}

async function getVersion(request: Request, { id, version }: Placed, call: Caller): Promise<Response> {
  readQuery(request.url, []);
  return document(request, await call("context_get", { id, format: "text", version }));
}

async function putDocument(request: Request, { id }: Placed, call: Caller): Promise<Response> {
  const { title, tag } = readQuery(request.url, ["title"], ["tag"]);
  const contentType = request.headers.get("content-type");
  if (contentType === null || essenceOf(contentType) === "") {
    throw new Fault("unsupported_media_type", "The request has no Content-Type", {
      hint: "Send application/json, or a text type such as text/markdown.",
    });
  }
  const written = await call("context_put", {
    ...conditionsOf(request, ["if-match", "if-none-match"]),
    id,
    content: await readText(request, MAX_DOCUMENT_BYTES),
    content_type: contentType,
    ...(title === undefined ? {} : { title }),
    ...(tag === undefined ? {} : { tags: tag }),
  });
  return json(request, written);
}

async function patchDocument(request: Request, { id }: Placed, call: Caller): Promise<Response> {
  readQuery(request.url, []);
  const essence = essenceOf(request.headers.get("content-type"));
  const format = Object.hasOwn(PATCHES, essence) ? PATCHES[essence] : undefined;
  if (format === undefined) {
    throw new Fault("unsupported_media_type", `A patch cannot be of type ${JSON.stringify(essence.slice(0, 80))}`, {
      hint: `Send one of ${ACCEPT_PATCH}.`,
      details: { accept_patch: ACCEPT_PATCH },
    });
  }
  const written = await call("context_patch", {
    ...conditionsOf(request, ["if-match"]),
    id,
    format,
    patch: await readText(request, MAX_DOCUMENT_BYTES),
  });
  return json(request, written);
}

async function deleteDocument(request: Request, { id }: Placed, call: Caller): Promise<Response> {
  readQuery(request.url, []);
  const deleted = await call("context_delete", { ...conditionsOf(request, ["if-match"]), id });
  return new Response(null, { status: 204, headers: { ...SAFE_HEADERS, ...freshnessOf(deleted) } });
}

async function getMetadata(request: Request, { id }: Placed, call: Caller): Promise<Response> {
  readQuery(request.url, []);
  return json(request, await call("context_metadata", { id }));
}

async function getVersions(request: Request, { id }: Placed, call: Caller): Promise<Response> {
  const { limit, ...query } = readQuery(request.url, ["limit", "cursor"]);
  const paged = limit === undefined ? query : { ...query, limit: numberOf(limit) };
  return json(request, await call("context_history", { id, ...paged }));
}

async function getDiff(request: Request, { id }: Placed, call: Caller): Promise<Response> {
  const { from, to, ...query } = readQuery(request.url, ["from", "to", "format"]);
  const found = await call("context_diff", {
    id,
    ...query,
    ...(from === undefined ? {} : { from: numberOf(from) }),
    ...(to === undefined ? {} : { to: numberOf(to) }),
  });
  return json(request, found);
}

async function restore(request: Request, { id }: Placed, call: Caller): Promise<Response> {
  readQuery(request.url, []);
  const body = await readJson(request, MAX_RESTORE_BYTES);
  const names = isObject(body) ? Object.keys(body) : undefined;
  if (names === undefined || names.some((name) => name !== "version")) {
    throw new Fault("invalid_input", `The body of a restore is {"version": n}`, {
      hint: "The id stands in the path, the condition in If-Match.",
    });
  }
  return json(
    request,
    await call("context_restore", { ...(body as object), ...conditionsOf(request, ["if-match"]), id }),
  );
}

/** The output as JSON; 201 where it says `created`. */
function json(request: Request, found: Answer): Promise<Response> {
  const { output } = found;
  const etag = output["etag"];
  return answerJson(request, output, {
    status: output["created"] === true ? 201 : 200,
    headers: freshnessOf(found),
    ...(typeof etag === "string" ? { etag } : {}),
  });
}

/** The stored text itself, only ever as JSON or plain text; its own type stands beside it (security.md 15). */
function document(request: Request, found: Answer): Promise<Response> {
  const { output } = found;
  const type = String(output["content_type"]);
  return respond(request, {
    text: String(output["content"]),
    type: isJsonType(type) ? "application/json" : "text/plain; charset=utf-8",
    etag: String(output["etag"]),
    conditional: true,
    headers: {
      ...freshnessOf(found),
      "Cairn-Version": String(output["version"]),
      "Cairn-Author": encodeURI(String(output["author"])),
      "Cairn-Content-Type": type,
      "Last-Modified": new Date(String(output["updated_at"])).toUTCString(),
    },
  });
}
