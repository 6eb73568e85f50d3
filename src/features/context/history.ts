// Reads of a context's history: its versions, and the difference of two of them.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { Fault } from "../../lib/fault.ts";
import { diffJson } from "../../lib/json-diff.ts";
import { parseExact } from "../../lib/json-value.ts";
import { isJsonType } from "../../lib/media-type.ts";
import { diffText } from "../../lib/text-diff.ts";
import { read } from "../../operation/define.ts";
import { etagOf } from "./etag.ts";
import { missing, requireVersion } from "./faults.ts";
import { contextId, idAliases } from "./id.ts";
import { floorOf, headOf, type StoredVersion, tagsOf, textOf, timeOf, versionsBelow } from "./rows.ts";

const MAX_PAGE = 500;

/** Lists the kept versions of a context, newest first. */
export const contextHistory = read({
  name: "context_history",
  title: "History of a context",
  description:
    "Lists the kept versions of a context, newest first: who wrote each, when, through which node, and which are deletions or purged. Read one with context_get, compare two with context_diff, bring one back with context_restore.",
  input: z.object({
    id: contextId,
    limit: z.number().int().min(1).max(MAX_PAGE).optional().describe("At most this many (default 50)."),
    cursor: z.string().max(32).optional().describe("The cursor of the answer before."),
  }),
  example: { id: "team-a/plan", limit: 10 },
  output: z.object({
    id: z.string(),
    floor: z.number().int().describe("The oldest version that is kept."),
    versions: z.array(
      z.object({
        version: z.number().int(),
        etag: z.string(),
        position: z.string(),
        content_type: z.string(),
        title: z.string(),
        tags: z.array(z.string()),
        size: z.number().int(),
        author: z.string(),
        via: z.string().describe("The node that passed it on, or empty."),
        time: z.string(),
        deleted: z.boolean(),
        purged: z.boolean(),
      }),
    ),
    cursor: z.string().optional().describe("Give it back for older versions; absent on the last page."),
  }),
  access: { verb: "read", spaces: (input) => [spaceOf(input.id)] },
  hints: { idempotent: true },
  aliases: idAliases,
  run(reader, input, context) {
    const head = headOf(reader, input.id);
    if (head === undefined) throw missing(input.id);
    const limit = input.limit ?? 50;
    const below = input.cursor === undefined ? head.version + 1 : readCursor(input.cursor);
    const rows = versionsBelow(reader, input.id, below, limit + 1);
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    return {
      id: input.id,
      floor: floorOf(reader, input.id),
      versions: page.map((row) => ({
        version: row.version,
        etag: etagOf(row.version, row.hash),
        position: context.positionAt(row.seq),
        content_type: row.content_type,
        title: row.title,
        tags: tagsOf(row.tags),
        size: row.size,
        author: row.author,
        via: row.via,
        time: timeOf(row.log_time),
        deleted: row.deleted !== 0,
        purged: row.purged !== 0,
      })),
      ...(rows.length > limit && last !== undefined ? { cursor: String(last.version) } : {}),
    };
  },
});

function readCursor(cursor: string): number {
  if (/^[1-9][0-9]{0,14}$/.test(cursor)) return Number(cursor);
  throw new Fault("invalid_input", `${JSON.stringify(cursor)} is not a cursor of this history`, {
    hint: "Give the cursor as the page before named it, or leave it out.",
  });
}

/** Compares two versions of a context. */
export const contextDiff = read({
  name: "context_diff",
  title: "Difference of two versions",
  description:
    "Shows what changed in a context from one version to another (by default to the newest): for JSON the steps of a JSON patch, for text a unified diff. Use it before you overwrite what someone else changed.",
  input: z.object({
    id: contextId,
    from: z.number().int().min(1).describe("The older version."),
    to: z.number().int().min(1).optional().describe("The newer version. Left out: the newest."),
    format: z
      .enum(["json-patch", "text"])
      .optional()
      .describe("Left out: json-patch where both versions are JSON, otherwise text."),
  }),
  example: { id: "team-a/plan", from: 1, to: 2 },
  output: z.object({
    id: z.string(),
    from: z.number().int(),
    to: z.number().int(),
    format: z.enum(["json-patch", "text"]),
    diff: z
      .union([z.array(z.record(z.string(), z.unknown())), z.string()])
      .describe("The steps of a JSON patch (RFC 6902), or a unified diff; empty for equal content."),
    coarse: z.boolean().optional().describe("true: right, but not small, since the versions differ too much."),
  }),
  access: { verb: "read", spaces: (input) => [spaceOf(input.id)] },
  hints: { idempotent: true },
  aliases: { ...idAliases, from_version: "from", to_version: "to" },
  run(reader, input) {
    const head = headOf(reader, input.id);
    if (head === undefined) throw missing(input.id);
    const to = input.to ?? head.version;
    const older = requireVersion(reader, head, input.from);
    const newer = requireVersion(reader, head, to);
    const areJson = isJsonType(older.content_type) && isJsonType(newer.content_type);
    if (input.format === "json-patch" && !areJson) {
      throw new Fault("unsupported_media_type", `The versions ${input.from} and ${to} are not both JSON`, {
        hint: "Use the format text.",
      });
    }
    const base = { id: input.id, from: input.from, to };
    if (areJson && input.format !== "text") {
      // Numbers stay as they are written: the steps must make the newer version of the older one.
      const diff = diffJson(parseExact(textOf(older)), parseExact(textOf(newer)));
      return { ...base, format: "json-patch" as const, diff };
    }
    const { text, coarse } = diffText(linesOf(older), linesOf(newer));
    const names = text === "" ? "" : `--- ${input.id} version ${input.from}\n+++ ${input.id} version ${to}\n`;
    return { ...base, format: "text" as const, diff: `${names}${text}`, ...(coarse ? { coarse } : {}) };
  },
});

/** JSON is compared as it reads, one member on a line: it often comes as one long line. */
function linesOf(row: StoredVersion): string {
  const text = textOf(row);
  return isJsonType(row.content_type) ? `${JSON.stringify(parseExact(text), null, 2)}\n` : text;
}
