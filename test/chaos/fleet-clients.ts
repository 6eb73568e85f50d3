// Clients of a fleet: a device of the tailnet that sends requests to any node over REST, as load.ts needs it.

import { Agent } from "../kit/agent.ts";
import type { FleetNode } from "../kit/fleet.ts";
import {
  faultOf,
  foundOf,
  noAnswer,
  type ReadAsk,
  type Said,
  type Target,
  type WriteAsk,
  writeCall,
  writtenOf,
} from "./asks.ts";
import type { Device } from "./callers.ts";
import { hashOf } from "./documents.ts";
import { placeOf, tagOf } from "./history.ts";

/** A node as that device reaches it. */
export function nodeTarget(device: Device, node: FleetNode): Target {
  const agent = new Agent(device, node.base);
  return {
    name: node.name,
    write: (ask, signal) => send(agent, ask, writeRequest(ask), signal),
    read: (ask, signal) => send(agent, ask, readRequest(ask), signal),
  };
}

interface HttpRequest {
  path: string;
  method?: string;
  body?: string;
  headers: Record<string, string>;
}

const PATCH_TYPES = {
  merge: "application/merge-patch+json",
  "json-patch": "application/json-patch+json",
  edit: "application/cairn-edit+json",
} as const;

function writeRequest(ask: WriteAsk): HttpRequest {
  const { parts, idempotencyKey } = ask;
  const [first] = parts;
  if (first === undefined) throw new Error("a write without a part");
  const { operation, key, text, patch, named, condition } = first;
  const keyed = idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey };
  const json = { ...keyed, "content-type": "application/json" };
  if (parts.length > 1) {
    const { name, input } = writeCall(ask);
    return { path: `/operations/${name}`, method: "POST", body: JSON.stringify(input), headers: json };
  }
  const conditions: Record<string, string> =
    condition === undefined ? {} : condition === "new" ? { "if-none-match": "*" } : { "if-match": `"${condition}"` };
  const path = `/contexts/${key}`;
  const headers = { ...json, ...conditions };
  switch (operation) {
    case "put":
      return { path, method: "PUT", body: text ?? "", headers };
    case "patch":
      return {
        path,
        method: "PATCH",
        body: JSON.stringify(patch?.body),
        headers: { ...headers, "content-type": PATCH_TYPES[patch?.format ?? "edit"] },
      };
    case "delete":
      return { path, method: "DELETE", headers: { ...keyed, ...conditions } };
    case "restore":
      return { path: `${path}/restore`, method: "POST", body: JSON.stringify({ version: named }), headers };
  }
}

function readRequest({ operation, key, consistency, shown, named, at, known, after, limit }: ReadAsk): HttpRequest {
  const headers = {
    "cairn-consistency": consistency,
    ...(shown === undefined ? {} : { "cairn-min-position": `${shown.epoch}-${shown.seq}` }),
    ...(known === undefined ? {} : { "if-none-match": `"${known}"` }),
  };
  const path = `/contexts/${key}`;
  switch (operation) {
    case "get":
      return { path, headers };
    case "version":
      return { path: `${path}/versions/${named}`, headers };
    case "at":
      return { path: `${path}?at=${at?.epoch}-${at?.seq}`, headers };
    case "metadata":
      return { path: `${path}/metadata`, headers };
    case "history":
      return { path: `${path}/versions?limit=${limit}`, headers };
    case "list": {
      const cursor = after === undefined ? {} : { cursor: Buffer.from(after).toString("base64url") };
      return { path: `/contexts?${new URLSearchParams({ prefix: key, limit: String(limit), ...cursor })}`, headers };
    }
  }
}

async function send(
  agent: Agent,
  ask: WriteAsk | ReadAsk,
  { path, ...init }: HttpRequest,
  signal: AbortSignal,
): Promise<Said> {
  let answer: Awaited<ReturnType<Agent["http"]>>;
  try {
    answer = await agent.http(path, { ...init, signal });
  } catch (error) {
    return noAnswer(error);
  }
  const { status, headers, body, text } = answer;
  const position = placeOf(headers.get("cairn-position"));
  const tag = tagOf(headers.get("etag"));
  const age = headers.get("age");
  const freshness = {
    position,
    ...(age === null ? {} : { ageMs: Number(age) * 1000 }),
    ...(headers.has("cairn-cache") ? { cached: true } : {}),
  };
  if (status === 304) return { outcome: "ok", ...tag, unchanged: true, ...freshness };
  if (status >= 200 && status < 300) {
    if ("parts" in ask) return { outcome: "ok", ...writtenOf(ask, body), ...freshness };
    const isDocument = ask.operation === "get" || ask.operation === "version" || ask.operation === "at";
    return { outcome: "ok", ...(isDocument ? { ...tag, body: hashOf(text) } : foundOf(ask, body)), ...freshness };
  }
  // An error that is not a node's own response: the request may have arrived before the connection broke.
  if (typeof body["code"] !== "string") return { outcome: "unknown", code: `${status} ${text.slice(0, 60)}` };
  return faultOf(ask, body, position);
}
