// Valid arguments for any operation, made from its schema, that name given contexts wherever a context can be named:
// for tests over all operations.

import { spaceOf } from "../../src/access/space.ts";
import type { Operation } from "../../src/operation/define.ts";
import type { Registry } from "../../src/operation/registry.ts";

type Json = Record<string, unknown>;

/** Returns one input for each id with every argument of the schema, and one with only the required ones. */
export function sampleInputs(registry: Registry, operation: Operation, ids: readonly string[]): Json[] {
  const schema = registry.get(operation.name)?.inputSchema;
  if (schema === undefined) throw new Error(`${operation.name} is not listed`);
  return ids.flatMap((id) => [
    sampleObject(registry, schema, id, true, operation.name),
    sampleObject(registry, schema, id, false, operation.name),
  ]);
}

/** Arguments that exclude another one, or that would make every call fail before anything is checked. */
const ALWAYS = new Set(["content", "patch", "timeout_seconds", "context"]);
const LEFT_OUT = new Set([
  "at",
  "chars",
  "cursor",
  "data_base64",
  "since",
  "until",
  "updated_since",
  "consistency",
  "min_position",
  "as",
  "idempotency_key",
  "if_none_match",
  "fence",
]);

function sampleObject(registry: Registry, schema: Json, id: string, all: boolean, where: string): Json {
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  const properties = Object.entries((schema["properties"] ?? {}) as Record<string, Json>);
  return Object.fromEntries(
    properties
      .filter(([name]) => required.includes(name) || (all && !LEFT_OUT.has(name)) || ALWAYS.has(name))
      // A subscription has a target or a context.
      .filter(([name]) => name !== "target" || !("context" in ((schema["properties"] ?? {}) as Json)))
      .map(([name, property]) => [name, sampleValue(registry, name, property, id, all, where)]),
  );
}

function sampleValue(registry: Registry, name: string, schema: Json, id: string, all: boolean, where: string): unknown {
  if (name === "id" || (name === "name" && where.startsWith("lease_"))) return id;
  if (name === "target") return { kind: "http", url: "https://example.com/" };
  if (name === "context") return { kind: "context", mode: "append", id };
  if (name === "rules") return [];
  if (name === "data") return { n: 1 };
  if (name === "fence") return `${id}@1-57`;
  if (name === "prefix") return all ? id : "hidden";
  if (name === "session") return `${spaceOf(id)}/session_0123456789abcdef`;
  if (name === "space") return spaceOf(id);
  if (["message", "parent", "thread"].includes(name)) return "m_0123456789ab";
  if (name === "messages") return ["m_0123456789ab"];
  if (name === "metadata") return { build: 7 };
  if (name === "tag") return "canary-tag";
  if (name === "if_match") return "*";
  if (name === "content_type") return "text/plain";
  if (name === "content") return "x";
  if (name === "patch" || name === "metadata") return {};
  if (name === "supersedes") return [`${id}-old`];
  if (name === "expires_in") return 3600;
  if (name === "visibility") return "private";
  if (name === "value") return "2048";
  if (name === "timeout_seconds") return 0;
  if (name === "lines" && schema["type"] === "string") return "1-";
  if (name === "lines") return [JSON.stringify(exportedVersion(id))];
  const choices = schema["enum"];
  if (Array.isArray(choices)) return choices[0];
  switch (schema["type"]) {
    case "integer":
    case "number":
      return 1;
    case "boolean":
      return false;
    case "string":
      return "x";
    case "array":
      return sampleItems(registry, (schema["items"] ?? {}) as Json, id, all, `${where}.${name}`);
    case "object":
      return sampleObject(registry, schema, id, all, where);
    default:
      throw new Error(`no sample for ${where}.${name}: ${JSON.stringify(schema)}`);
  }
}

/**
 * A list of writes holds one of each operation that it may hold, beside one that is allowed: the union of their spaces
 * counts.
 */
function sampleItems(registry: Registry, items: Json, id: string, all: boolean, where: string): unknown[] {
  const operation = ((items["properties"] ?? {}) as Record<string, Json>)["operation"]?.["enum"];
  if (!Array.isArray(operation)) return [sampleValue(registry, "item", items, id, all, where)];
  return operation.map((name: string, index) => {
    const schema = registry.get(name)?.inputSchema ?? {};
    return { ...sampleObject(registry, schema, index === 0 ? "team-a/x" : id, all, name), operation: name };
  });
}

function exportedVersion(id: string): Json {
  const time = "2026-01-01T00:00:00.000Z";
  const hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  const words = { content_type: "text/plain", title: "", tags: [], author: "local", via: "", content: "" };
  return { id, version: 1, hash, ...words, time, created_at: time };
}
