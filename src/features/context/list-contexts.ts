// context_list: metadata of contexts, filtered by the caller's rights before paging (security.md 5).

import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import { lookAlikes } from "../../lib/look-alike.ts";
import { type CallContext, read } from "../../operation/define.ts";
import type { Reader } from "../../store/store.ts";
import { idPrefix, idProblem, MAX_ID_CURSOR } from "./context-id.ts";
import { invalidCursor } from "./page-cursor.ts";
import { type ContextRow, metadata, metadataOf } from "./rows.ts";

const MAX_PAGE = 500;
const FIELDS = [
  "id",
  "version",
  "etag",
  "content_type",
  "title",
  "tags",
  "size",
  "author",
  "created_at",
  "updated_at",
] as const;

const listed = metadata
  .partial()
  .required({ id: true })
  .extend({
    looks_like: z.array(z.string()).optional().describe("Other ids of this page, easily taken for this one."),
  });

/** Lists the contexts that the caller may see, ordered by id. */
export const contextList = read({
  name: "context_list",
  title: "List contexts",
  search: "find memory, notes, documents, plans, open handoffs",
  core: "daily",
  description:
    "Lists the contexts (notes, memories, handoffs) you may read, ordered by id, without their content. Filter by prefix (a space such as team-a/), tag or time; pass cursor for more.",
  input: z.object({
    prefix: idPrefix.optional(),
    tag: z.string().min(1).max(64).optional().describe("Only contexts with this tag."),
    updated_since: z.iso
      .datetime({ offset: true })
      .optional()
      .describe("Only contexts written at or after this time (ISO 8601)."),
    limit: z.number().int().min(1).max(MAX_PAGE).optional().describe("At most this many (default 100)."),
    cursor: z.string().min(1).max(MAX_ID_CURSOR).optional().describe("The cursor of the previous page."),
    fields: z
      .array(z.enum(FIELDS))
      .min(1)
      .max(FIELDS.length)
      .optional()
      .describe("Only these fields of each context; id is always included."),
  }),
  example: { prefix: "team-a/", limit: 20 },
  output: z.object({
    contexts: z.array(listed).describe("With all fields, unless you named some."),
    cursor: z.string().optional().describe("Pass it back for the next page; absent on the last."),
  }),
  access: { verb: "read", spaces: "visible" },
  hints: { idempotent: true },
  aliases: { since: "updated_since" },
  async run(reader, input, context) {
    const after = input.cursor === undefined ? "" : readCursor(input.cursor);
    const limit = input.limit ?? 100;
    const spaces = visibleSpaces(reader, context.visible);
    if (spaces.length === 0) return { contexts: [] };
    const prefix = input.prefix ?? "";
    const rows = await rowsAfter(reader, after, context, {
      prefix,
      updatedSince: input.updated_since === undefined ? 0 : Date.parse(input.updated_since),
      tag: input.tag ?? "",
      spaces: JSON.stringify(spaces),
      limit: limit + 1,
    });
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    const alike = lookAlikes(page.map(({ id }) => id));
    return {
      contexts: page.map((row) => ({
        ...pick(metadataOf(row), input.fields),
        ...(alike.has(row.id) ? { looks_like: [...(alike.get(row.id) ?? [])] } : {}),
      })),
      ...(rows.length > limit && last !== undefined ? { cursor: writeCursor(last.id) } : {}),
    };
  },
});

/** Contexts that are looked at without a pause, whether they are in the list or not. */
const STEP = 5000;
/** Units of work (lib/work.ts) for each of them. */
const LOOKED_AT = 1000;

/** Which contexts are wanted. */
export interface Wanted {
  prefix: string;
  updatedSince: number;
  tag: string;
  /** As a JSON list. */
  spaces: string;
  limit: number;
}

/**
 * Returns the first rows after an id that are wanted. Where few match they may be far behind: the search goes on in
 * steps that leave the event loop free and count against the caller's rate.
 */
export async function rowsAfter(
  reader: Reader,
  after: string,
  { spend, signal }: CallContext,
  { prefix, updatedSince, tag, spaces, limit }: Wanted,
): Promise<ContextRow[]> {
  const end = endOfPrefix(prefix);
  const rows: ContextRow[] = [];
  for (let from = after; ; ) {
    const found = reader.all<ContextRow>(
      `SELECT * FROM (SELECT * FROM contexts WHERE id > ? AND id >= ? AND id < ? ORDER BY id LIMIT ?)
         WHERE substr(id, 1, length(?)) = ? AND deleted = 0 AND updated_at >= ? AND (? = '' OR instr(tags, ?) > 0)
         AND space IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT ?`,
      from,
      prefix,
      end,
      STEP,
      prefix,
      prefix,
      updatedSince,
      tag,
      `\n${tag}\n`,
      spaces,
      limit - rows.length,
    );
    rows.push(...found);
    if (rows.length >= limit) return rows;
    const last = reader.get<{ id: string }>(
      "SELECT id FROM contexts WHERE id > ? AND id >= ? AND id < ? ORDER BY id LIMIT 1 OFFSET ?",
      from,
      prefix,
      end,
      STEP - 1,
    );
    if (last === undefined) return rows;
    spend(LOOKED_AT * STEP);
    from = last.id;
    await nextTurn();
    signal.throwIfAborted();
  }
}

/** Returns a text greater than every id that starts with `prefix`, as the end of an index scan. No id has U+10FFFF. */
export function endOfPrefix(prefix: string): string {
  return `${prefix}\u{10ffff}`;
}

function pick(row: z.infer<typeof metadata>, fields: readonly (typeof FIELDS)[number][] | undefined) {
  if (fields === undefined) return row;
  return { id: row.id, ...Object.fromEntries(fields.map((field) => [field, row[field]])) };
}

/** Returns the visible spaces that have contexts. One index lookup a space: the cost does not grow with contexts. */
export function visibleSpaces(reader: Reader, visible: (space: string) => boolean): string[] {
  const spaces: string[] = [];
  let next = reader.get<{ space: string }>("SELECT space FROM contexts ORDER BY space LIMIT 1");
  while (next !== undefined) {
    if (visible(next.space)) spaces.push(next.space);
    next = reader.get<{ space: string }>(
      "SELECT space FROM contexts WHERE space > ? ORDER BY space LIMIT 1",
      next.space,
    );
  }
  return spaces;
}

/** A cursor is the last id of a page. It gives no right: each page is filtered by the rights at its time. */
function writeCursor(id: string): string {
  return Buffer.from(id, "utf8").toString("base64url");
}

function readCursor(cursor: string): string {
  const id = Buffer.from(cursor, "base64url").toString("utf8");
  if (writeCursor(id) !== cursor || idProblem(id) !== undefined) throw invalidCursor(cursor, "this list");
  return id;
}
