// Writes of contexts: each defined once, its outcome decided in apply from state, command and stamp alone (design 5, 7).

import { z } from "zod";
import { Fault } from "../lib/fault.ts";
import { write } from "../operation/define.ts";
import type { Writer } from "../store/store.ts";
import { type Document, toDocument } from "./document.ts";
import { etagOf, matchesStrongly, matchesWeakly, parseCondition, type Tag } from "./etag.ts";
import { contextId, spaceOf } from "./id.ts";
import { type ContextRow, framedTags } from "./rows.ts";

const ifMatch = z
  .string()
  .max(4096)
  .optional()
  .describe(
    "Write only if the context still has this etag (or one of a list; * = if it exists). Take it from your last read.",
  );

const line = (max: number) =>
  z
    .string()
    .max(max)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
    .regex(/^[^\u0000-\u001f\u007f-\u009f]*$/, "no control characters")
    .refine((text) => text.isWellFormed(), "well-formed Unicode");

interface Conditions {
  if_match: "*" | Tag[] | null;
  if_none_match: "*" | Tag[] | null;
}

interface PutCommand extends Conditions {
  id: string;
  document: Document;
  title: string | null;
  tags: string[] | null;
}

interface DeleteCommand extends Conditions {
  id: string;
}

export const contextPut = write({
  name: "context_put",
  v: 1,
  title: "Write a context",
  description:
    'Stores a document under an id as its next version. Use it to keep what you learned, decided or plan where other agents and later sessions find it. Give if_match with the etag you read, so that you never overwrite what someone wrote meanwhile; if_none_match "*" only creates.',
  input: z.object({
    id: contextId,
    content: z
      .unknown()
      .describe(
        "The document: any JSON value, or a string. A string is plain text, or JSON text when content_type is application/json.",
      ),
    content_type: z
      .string()
      .max(256)
      .optional()
      .describe(
        "application/json (default for values), text/plain (default for strings), text/markdown or another text type.",
      ),
    title: line(200).optional().describe("A short title for lists. Left out: as it was."),
    tags: z.array(line(64).min(1)).max(32).optional().describe("Words to find it by. Left out: as they were."),
    if_match: ifMatch,
    if_none_match: z.string().max(4096).optional().describe('"*": write only if there is no such context yet.'),
  }),
  output: z.object({
    id: z.string(),
    version: z.number().int(),
    etag: z.string(),
    created: z.boolean(),
    updated_at: z.string(),
  }),
  access: { verb: "write", spaces: (input) => [spaceOf(input.id)] },
  hints: { idempotent: false },
  prepare: (input, limits): PutCommand => ({
    id: input.id,
    document: toDocument(input.content, input.content_type, limits.maxDocumentBytes),
    title: input.title ?? null,
    tags: input.tags === undefined ? null : [...new Set(input.tags)],
    if_match: input.if_match === undefined ? null : parseCondition(input.if_match, "if_match"),
    if_none_match: input.if_none_match === undefined ? null : parseCondition(input.if_none_match, "if_none_match"),
  }),
  apply(tx, command, stamp) {
    const head = headOf(tx, command.id);
    checkConditions(command, head);
    const { document } = command;
    const living = head?.deleted === 0 ? head : undefined;
    const row: ContextRow = {
      id: command.id,
      space: spaceOf(command.id),
      version: (head?.version ?? 0) + 1,
      hash: document.hash,
      content_type: document.contentType,
      title: command.title ?? living?.title ?? "",
      tags: command.tags === null ? (living?.tags ?? "") : framedTags(command.tags),
      size: document.size,
      author: stamp.caller,
      created_at: living?.created_at ?? stamp.timeMs,
      updated_at: stamp.timeMs,
      deleted: 0,
    };
    writeVersion(tx, row, stamp, document.text);
    return {
      output: {
        id: row.id,
        version: row.version,
        etag: etagOf(row.version, row.hash),
        created: living === undefined,
        updated_at: new Date(stamp.timeMs).toISOString(),
      },
      target: row.id,
      version: row.version,
      contentHash: row.hash,
      outcome: living === undefined ? "created" : "updated",
    };
  },
});

/** Hash of no bytes: what a tombstone carries. */
const EMPTY_HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

export const contextDelete = write({
  name: "context_delete",
  v: 1,
  title: "Delete a context",
  description:
    "Marks a context as deleted. Its earlier versions stay readable by number until history limits remove them. Give if_match with the etag you read.",
  input: z.object({ id: contextId, if_match: ifMatch }),
  output: z.object({ id: z.string(), version: z.number().int(), deleted: z.literal(true) }),
  access: { verb: "write", spaces: (input) => [spaceOf(input.id)] },
  hints: { destructive: true },
  prepare: (input): DeleteCommand => ({
    id: input.id,
    if_match: input.if_match === undefined ? null : parseCondition(input.if_match, "if_match"),
    if_none_match: null,
  }),
  apply(tx, command, stamp) {
    const head = headOf(tx, command.id);
    if (head === undefined || head.deleted !== 0) {
      throw new Fault("not_found", `There is no context ${JSON.stringify(command.id)}`, {
        hint: "List the contexts to see what there is.",
      });
    }
    checkConditions(command, head);
    const row: ContextRow = {
      ...head,
      version: head.version + 1,
      hash: EMPTY_HASH,
      size: 0,
      author: stamp.caller,
      updated_at: stamp.timeMs,
      deleted: 1,
    };
    writeVersion(tx, row, stamp, "");
    return {
      output: { id: row.id, version: row.version, deleted: true as const },
      target: row.id,
      version: row.version,
      contentHash: EMPTY_HASH,
      outcome: "deleted",
    };
  },
});

function headOf(tx: Writer, id: string): ContextRow | undefined {
  return tx.get<ContextRow>("SELECT * FROM contexts WHERE id = ?", id);
}

/** RFC 9110 13.2.2: If-Match first, then If-None-Match. A tombstone counts as no context. */
function checkConditions(conditions: Conditions, head: ContextRow | undefined): void {
  const current = head === undefined || head.deleted !== 0 ? undefined : etagOf(head.version, head.hash);
  const stale = conditions.if_match !== null && !matchesStrongly(conditions.if_match, current);
  const taken = conditions.if_none_match !== null && matchesWeakly(conditions.if_none_match, current);
  if (!stale && !taken) return;
  const found = current === undefined ? "there is none now" : `it is at ${current} now`;
  throw new Fault("version_mismatch", `The context was not written: ${found}`, {
    hint:
      current === undefined
        ? "Create it with if_none_match *."
        : "Read it again, carry your change over, then write with that etag.",
    details: current === undefined ? {} : { etag: current, version: head?.version },
  });
}

function writeVersion(
  tx: Writer,
  row: ContextRow,
  stamp: { seq: number; timeMs: number; via: string },
  text: string,
): void {
  tx.run(
    "INSERT INTO versions (id, version, seq, hash, content_type, title, tags, author, via, log_time, deleted, encoding, content) VALUES (?,?,?,?,?,?,?,?,?,?,?,0,?)",
    row.id,
    row.version,
    stamp.seq,
    row.hash,
    row.content_type,
    row.title,
    row.tags,
    row.author,
    stamp.via,
    stamp.timeMs,
    row.deleted,
    Buffer.from(text, "utf8"),
  );
  tx.run(
    "INSERT INTO contexts (id, space, version, hash, content_type, title, tags, size, author, created_at, updated_at, deleted) VALUES (?,?,?,?,?,?,?,?,?,?,?,?) " +
      "ON CONFLICT (id) DO UPDATE SET version = excluded.version, hash = excluded.hash, content_type = excluded.content_type, title = excluded.title, tags = excluded.tags, " +
      "size = excluded.size, author = excluded.author, created_at = excluded.created_at, updated_at = excluded.updated_at, deleted = excluded.deleted",
    row.id,
    row.space,
    row.version,
    row.hash,
    row.content_type,
    row.title,
    row.tags,
    row.size,
    row.author,
    row.created_at,
    row.updated_at,
    row.deleted,
  );
}
