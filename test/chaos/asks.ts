// What clients of a load ask of a node, and what it says: the same for REST, MCP and the log alone. Also the arguments
// of the operations, and how their outputs and faults are read.

import type { Patch } from "./documents.ts";
import { DELETED, type Listed, type Place, type Read, type Row, tagOf } from "./history.ts";

/** One write. Several of one request are a batch: all are done, or none. */
export interface Part {
  operation: "put" | "patch" | "delete" | "restore";
  key: string;
  /** JSON text of a put. */
  text?: string;
  patch?: Patch;
  /** Version that a restore names. */
  named?: number;
  /** As in Row. */
  condition?: string | undefined;
}

export interface WriteAsk {
  parts: readonly Part[];
  /** Absent: the write is not to be sent again once it may have been done. */
  idempotencyKey: string | undefined;
}

export interface ReadAsk {
  operation: Read;
  /** Of a list, the prefix. */
  key: string;
  consistency: "any" | "session" | "leader";
  shown: Place | undefined;
  named?: number | undefined;
  at?: Place | undefined;
  known?: string | undefined;
  after?: string | undefined;
  limit?: number | undefined;
}

/** What a write made. */
export interface Written {
  version: number;
  hash: string;
}

/** A response that is no fault: to a read, or to a write, of which `parts` has each part. */
export type Answered = { outcome: "ok"; parts?: readonly Written[] } & Pick<
  Row,
  "version" | "hash" | "body" | "position" | "ageMs" | "cached" | "absent" | "unchanged" | "listed" | "more"
>;

/** Outcome of one attempt. `fail` is certain: nothing was done, and nothing will be. */
export type Said =
  | Answered
  | {
      outcome: "fail";
      code: string;
      /** Whether the same may be asked again. */
      again: boolean;
      /** As in Row. */
      current?: string;
      /** The part of a batch that was refused. */
      index?: number;
    }
  | { outcome: "unknown"; code: string };

/** A node as clients reach it. Neither method rejects. */
export interface Target {
  readonly name: string;
  /** Used for writes only. */
  readonly writesOnly?: boolean;
  write(ask: WriteAsk, signal: AbortSignal): Promise<Said>;
  read(ask: ReadAsk, signal: AbortSignal): Promise<Said>;
}

/** An operation with its arguments. */
export interface Call {
  name: string;
  input: Record<string, unknown>;
}

const JSON_TYPE = "application/json";

/** Returns the operation of a write, without its idempotency key. */
export function writeCall({ parts }: WriteAsk): Call {
  const calls = parts.map(partCall);
  const [first] = calls;
  if (first === undefined) throw new Error("a write without a part");
  if (calls.length === 1) return first;
  return { name: "context_many", input: { writes: calls.map(({ name, input }) => ({ operation: name, ...input })) } };
}

function partCall({ operation, key: id, text, patch, named, condition }: Part): Call {
  const conditions =
    condition === undefined ? {} : condition === "new" ? { if_none_match: "*" } : { if_match: `"${condition}"` };
  const own = {
    put: { content: text, content_type: JSON_TYPE },
    // Text over every surface: a write that is sent again has the same arguments.
    patch: { format: patch?.format, patch: JSON.stringify(patch?.body) },
    delete: {},
    restore: { version: named },
  }[operation];
  return { name: `context_${operation}`, input: { id, ...own, ...conditions } };
}

/** Returns the operation of a read, without its consistency. */
export function readCall({ operation, key: id, named, at, after, limit }: ReadAsk): Call {
  switch (operation) {
    case "list": {
      const cursor = after === undefined ? {} : { cursor: Buffer.from(after).toString("base64url") };
      return { name: "context_list", input: { prefix: id, limit, ...cursor } };
    }
    case "history":
      return { name: "context_history", input: { id, limit } };
    case "metadata":
      return { name: "context_metadata", input: { id } };
    default: {
      const version = named === undefined ? {} : { version: named };
      return { name: "context_get", input: { id, ...version, ...(at && { at: `${at.epoch}-${at.seq}` }) } };
    }
  }
}

/** Reads the output of a write. A deletion returns no ETag. */
export function writtenOf({ parts }: WriteAsk, output: Record<string, unknown>): { parts: Written[] } & Written {
  const results = parts.length === 1 ? [output] : (output["results"] as Record<string, unknown>[]);
  const written = results.map((result, at) =>
    parts[at]?.operation === "delete"
      ? { version: Number(result["version"] ?? 0), hash: DELETED }
      : tagOf(String(result["etag"])),
  );
  return { parts: written, ...(written[0] ?? { version: 0, hash: "" }) };
}

/** Reads the output of a read that returns no document. */
export function foundOf({ operation, key }: ReadAsk, output: Record<string, unknown>) {
  if (operation === "metadata") return tagOf(String(output["etag"]));
  const entries = (output[operation === "list" ? "contexts" : "versions"] ?? []) as { id?: string; etag: string }[];
  const listed: Listed[] = entries.map(({ id = key, etag }) => ({ key: id, ...tagOf(etag) }));
  return { version: 0, hash: "", listed, more: output["cursor"] !== undefined };
}

/** Reads a fault. What is not there is an answer to a read. */
export function faultOf(ask: WriteAsk | ReadAsk, body: Record<string, unknown>, position: Place | undefined): Said {
  const code = String(body["code"]);
  if ("operation" in ask && (code === "not_found" || code === "deleted")) {
    const version = code === "deleted" ? Number(body["version"] ?? 0) : 0;
    return { outcome: "ok", version, hash: version > 0 ? DELETED : "", absent: code, position };
  }
  if (body["outcome"] === "unknown" || code === "internal") return { outcome: "unknown", code };
  // Of a refusal that a node kept for a repeated key, only the words may be left.
  const words = String(body["detail"] ?? body["message"]);
  const index = body["index"] ?? /^Write (\d+) /.exec(words)?.[1];
  const current = body["etag"] ?? (words.includes("it does not exist") ? "none" : undefined);
  return {
    outcome: "fail",
    code,
    again: body["retryable"] === true,
    ...(code === "version_mismatch" && current !== undefined ? { current: String(current) } : {}),
    ...(index === undefined ? {} : { index: Number(index) }),
  };
}

/** Returns the outcome of a request that brought no response. */
export function noAnswer(error: unknown): Said {
  return { outcome: "unknown", code: error instanceof Error ? error.name : String(error) };
}
