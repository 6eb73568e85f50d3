// The plain writes of contexts: put, delete, restore. Each is defined once, its outcome decided in apply from state, command and stamp alone (architecture.md 5, 7).

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { write } from "../../operation/define.ts";
import { type Conditions, checkConditions, conditionsOf, ifMatch } from "./conditions.ts";
import { type Document, toDocument } from "./document.ts";
import { missing, requireVersion } from "./faults.ts";
import { askedOf, type Keep, keepOf } from "./history-limits.ts";
import { contextId, idAliases } from "./id.ts";
import { framedTags, headOf, textOf } from "./rows.ts";
import { appendTombstone, appendVersion, EMPTY_HASH, WHOLE_DOCUMENT } from "./versions.ts";

const line = (max: number) =>
  z
    .string()
    .max(max)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
    .regex(/^[^\u0000-\u001f\u007f-\u009f]*$/, "no control characters")
    .refine((text) => text.isWellFormed(), "well-formed Unicode");

export const title = line(200);
export const tags = z.array(line(64).min(1)).max(32);

/** What a write that makes a version answers. */
export const writtenOutput = z.object({
  id: z.string(),
  version: z.number().int(),
  etag: z.string().describe("Give it as if_match when you write again."),
  created: z.boolean(),
  updated_at: z.string(),
});

const conditionAliases = { etag: "if_match", expected_etag: "if_match" } as const;

interface PutCommand extends Conditions {
  id: string;
  document: Document;
  title: string | null;
  tags: string[] | null;
  keep: Keep;
}

/** Stores a document as the newest version of its id. */
export const contextPut = write({
  name: "context_put",
  v: 1,
  title: "Write a context",
  description:
    'Stores a document under an id as its next version. Use it to keep what you learned, decided or plan where other agents and later sessions find it. Give if_match with the etag you read, so that you never overwrite what someone wrote meanwhile; if_none_match "*" only creates. For a small change of a large document use context_patch.',
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
    title: title.optional().describe("A short title for lists. Left out: as it was."),
    tags: tags.optional().describe("Words to find it by. Left out: as they were."),
    if_match: ifMatch,
    if_none_match: z.string().max(4096).optional().describe('"*": write only if there is no such context yet.'),
  }),
  example: {
    id: "team-a/plan",
    content: { goal: "Release 1.0", steps: ["test", "tag"] },
    title: "Plan of the release",
    tags: ["release"],
  },
  output: writtenOutput,
  access: { verb: "write", spaces: (input) => [spaceOf(input.id)] },
  hints: { idempotent: false },
  aliases: {
    ...idAliases,
    ...conditionAliases,
    value: "content",
    text: "content",
    body: "content",
    data: "content",
    type: "content_type",
    mime_type: "content_type",
  },
  target: "id",
  prepare: (input, limits): PutCommand => ({
    id: input.id,
    document: toDocument(input.content, input.content_type, limits.maxDocumentBytes),
    title: input.title ?? null,
    tags: input.tags === undefined ? null : [...new Set(input.tags)],
    ...conditionsOf(input),
    keep: keepOf(input.id, limits),
  }),
  asked: askedOf,
  apply(tx, command, stamp) {
    const head = headOf(tx, command.id);
    checkConditions(command, head);
    const living = head?.deleted === 0 ? head : undefined;
    const { output, changed } = appendVersion(
      tx,
      {
        id: command.id,
        head,
        document: command.document,
        title: command.title ?? living?.title ?? "",
        tags: command.tags === null ? (living?.tags ?? "") : framedTags(command.tags),
      },
      command.keep,
      stamp,
    );
    return { output, changes: [changed] };
  },
});

interface DeleteCommand extends Conditions {
  id: string;
  keep: Keep;
}

export const contextDelete = write({
  name: "context_delete",
  v: 1,
  title: "Delete a context",
  description:
    "Marks a context as deleted. Its earlier versions stay readable by number, and context_restore brings one back, until history limits remove them. Give if_match with the etag you read.",
  input: z.object({ id: contextId, if_match: ifMatch }),
  example: { id: "team-a/plan" },
  output: z.object({ id: z.string(), version: z.number().int(), deleted: z.literal(true) }),
  access: { verb: "write", spaces: (input) => [spaceOf(input.id)] },
  hints: { destructive: true },
  aliases: { ...idAliases, ...conditionAliases },
  target: "id",
  prepare: (input, limits): DeleteCommand => ({
    id: input.id,
    ...conditionsOf(input),
    keep: keepOf(input.id, limits),
  }),
  asked: askedOf,
  apply(tx, command, stamp) {
    const head = headOf(tx, command.id);
    if (head === undefined || head.deleted !== 0) throw missing(command.id);
    checkConditions(command, head);
    const row = appendTombstone(tx, head, command.keep, stamp);
    return {
      output: { id: row.id, version: row.version, deleted: true as const },
      changes: [{ target: row.id, version: row.version, contentHash: EMPTY_HASH, outcome: "deleted" }],
    };
  },
});

interface RestoreCommand extends Conditions {
  id: string;
  version: number;
  keep: Keep;
}

export const contextRestore = write({
  name: "context_restore",
  v: 1,
  title: "Restore an earlier version",
  description:
    "Writes an earlier version of a context again, with its title and tags, as the newest version; a deleted context comes back. Nothing in between is lost. Find the version with context_history.",
  input: z.object({
    id: contextId,
    version: z.number().int().min(1).describe("The version to bring back, as context_history numbers it."),
    if_match: ifMatch,
  }),
  example: { id: "team-a/plan", version: 1 },
  output: writtenOutput,
  access: { verb: "write", spaces: (input) => [spaceOf(input.id)] },
  hints: { idempotent: false },
  aliases: { ...idAliases, ...conditionAliases },
  target: "id",
  prepare: (input, limits): RestoreCommand => ({
    id: input.id,
    version: input.version,
    ...conditionsOf(input),
    keep: keepOf(input.id, limits),
  }),
  weight: () => WHOLE_DOCUMENT,
  asked: askedOf,
  apply(tx, command, stamp) {
    const head = headOf(tx, command.id);
    if (head === undefined) throw missing(command.id);
    checkConditions(command, head);
    const row = requireVersion(tx, head, command.version);
    const { output, changed } = appendVersion(
      tx,
      {
        id: command.id,
        head,
        document: { text: textOf(row), contentType: row.content_type, hash: row.hash, size: row.size },
        title: row.title,
        tags: row.tags,
        outcome: "restored",
      },
      command.keep,
      stamp,
    );
    return { output, changes: [changed] };
  },
});
