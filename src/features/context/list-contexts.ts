// context_list: metadata of contexts, filtered by the caller's rights before paging (security.md 5).

import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import { lookAlikes } from "../../lib/look-alike.ts";
import { LOOK_AT_ROW, SHOW_ROW } from "../../lib/work.ts";
import { levelOf } from "../../log/level.ts";
import { type CallContext, read } from "../../operation/define.ts";
import { hasMembers, type WantedMetadata, wantedMetadata } from "../../operation/metadata.ts";
import { invalidCursor } from "../../operation/page-cursor.ts";
import type { Reader } from "../../store/store.ts";
import { mayReadRow } from "./audience.ts";
import { idPrefix, idProblem, MAX_ID_CURSOR } from "./context-id.ts";
import { DETAILS_LEVEL, metadataFilter } from "./details.ts";
import { type ContextRow, metadata as contextMetadata, metadataOf, SUCCEEDS_FOR_ALL, thereSql } from "./rows.ts";

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
  "agent",
  "created_at",
  "updated_at",
  "expires_at",
  "metadata",
  "supersedes",
  "superseded_by",
  "visibility",
] as const;

const listed = contextMetadata
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
    "Lists the contexts (notes, memories, handoffs) you may read, ordered by id, without their content. Filter by prefix (a space such as team-a/), tag, metadata or time; pass cursor for more.",
  input: z.object({
    prefix: idPrefix.optional(),
    tag: z.string().min(1).max(64).optional().describe("Only with this tag."),
    metadata: metadataFilter,
    current: z.boolean().optional().describe("No superseded ones."),
    updated_since: z.iso.datetime({ offset: true }).optional().describe("Written at or after this time (ISO 8601)."),
    limit: z.number().int().min(1).max(MAX_PAGE).optional().describe("At most this many (default 100)."),
    cursor: z.string().min(1).max(MAX_ID_CURSOR).optional().describe("The cursor of the previous page."),
    fields: z.array(z.enum(FIELDS)).min(1).max(FIELDS.length).optional().describe("Only these, and id."),
  }),
  example: { prefix: "team-a/", limit: 20 },
  samples: { tag: "release", metadata: { project: "x" }, cursor: "dGVhbS1hL3BsYW4" },
  output: z.object({
    contexts: z.array(listed).describe("With all fields, unless you named some."),
    cursor: z.string().optional().describe("Pass it back for the next page; absent on the last."),
  }),
  access: { verb: "read", spaces: "visible" },
  aliases: { since: "updated_since" },
  async run(reader, input, context) {
    const after = input.cursor === undefined ? "" : readCursor(input.cursor);
    const limit = input.limit ?? 100;
    const metadata = wantedMetadata(input.metadata);
    const rows = await rowsAfter(reader, after, context, {
      prefix: input.prefix ?? "",
      updatedSince: input.updated_since === undefined ? 0 : Date.parse(input.updated_since),
      tag: input.tag ?? "",
      ...(input.current === true ? { isCurrent: true } : {}),
      ...(metadata === undefined ? {} : { metadata }),
      limit: limit + 1,
    });
    context.spend(SHOW_ROW * rows.length);
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    const alike = lookAlikes(page.map(({ id }) => id));
    return {
      contexts: page.map((row) => ({
        ...pick(metadataOf(reader, row), input.fields),
        ...(alike.has(row.id) ? { looks_like: [...(alike.get(row.id) ?? [])] } : {}),
      })),
      ...(rows.length > limit && last !== undefined ? { cursor: writeCursor(last.id) } : {}),
    };
  },
});

/** Contexts that are looked at without a pause, whether they are in the list or not. */
const STEP = 5000;
/**
 * Fewest rows that are read at once, twice as many each time: those that the caller may not see are passed over.
 */
const MIN_READ = 50;

/** Which contexts are wanted, of those that the caller may see. */
export interface Wanted {
  prefix: string;
  updatedSince: number;
  tag: string;
  /** Only those that no other one supersedes. */
  isCurrent?: true;
  metadata?: WantedMetadata;
  limit: number;
}

/**
 * Returns the first rows after an id that are wanted and that the caller may see. Where these are few they may be far
 * behind: the search goes on in steps that leave the event loop free and count against the caller's rate. The rest of a
 * space that the caller may not see is passed over at once.
 */
export async function rowsAfter(
  reader: Reader,
  after: string,
  { spend, signal, visible, viewer }: CallContext,
  wanted: Wanted,
): Promise<ContextRow[]> {
  const rows: ContextRow[] = [];
  const isVisible = remembered(visible);
  const viewerIn = remembered(viewer);
  const isShown = (row: ContextRow) => isVisible(row.space) && mayReadRow(row, viewerIn(row.space));
  for (let from = after, least = MIN_READ; ; least = Math.min(2 * least, STEP)) {
    const atOnce = Math.max(wanted.limit - rows.length, least);
    const found = matchesAfter(reader, from, wanted, atOnce);
    for (const row of found) {
      if (isShown(row) && hasWanted(row, wanted)) rows.push(row);
      if (rows.length === wanted.limit) return rows;
    }
    const isFull = found.length === atOnce;
    const last = isFull ? found.at(-1) : endOfStep(reader, from, wanted.prefix);
    if (last === undefined) return rows;
    spend(LOOK_AT_ROW * (isFull ? atOnce : STEP));
    from = isVisible(last.space) ? last.id : endOfPrefix(`${last.space}/`);
    await nextTurn();
    signal.throwIfAborted();
  }
}

function hasWanted({ metadata: has = "" }: ContextRow, { metadata }: Wanted): boolean {
  return metadata === undefined || hasMembers(has, metadata);
}

/** Remembers the answer for the last space, or id: rows come in their order. */
export function remembered<T>(answer: (name: string) => T): (name: string) => T {
  let last: { name: string; is: T } | undefined;
  return (name) => {
    if (last?.name !== name) last = { name, is: answer(name) };
    return last.is;
  };
}

/** Returns the first that may match, at most `atOnce`, of one step after an id: by metadata they still can fail. */
function matchesAfter(reader: Reader, from: string, wanted: Wanted, atOnce: number): ContextRow[] {
  const { prefix, updatedSince, tag, isCurrent, metadata } = wanted;
  const hasDetails = levelOf(reader) >= DETAILS_LEVEL;
  if (metadata !== undefined && !hasDetails) return [];
  const there = thereSql(reader);
  const isSuperseded = `EXISTS (SELECT 1 FROM superseded i JOIN contexts s ON s.id = i.successor WHERE i.id = t.id AND ${SUCCEEDS_FOR_ALL})`;
  const further = [
    ...(metadata?.texts ?? []).map(() => "AND instr(metadata, ?) > 0"),
    ...(isCurrent === true && hasDetails ? [`AND NOT ${isSuperseded}`] : []),
  ].join(" ");
  return reader.all<ContextRow>(
    `SELECT * FROM (SELECT * FROM contexts WHERE ${AFTER_WITH_PREFIX} ORDER BY id LIMIT +?) AS t
       WHERE substr(id, 1, length(?)) = ? AND ${there.sql} AND updated_at >= ? AND (? = '' OR instr(tags, ?) > 0)
       ${further} ORDER BY id LIMIT +?`,
    ...afterWithPrefix(from, prefix),
    STEP,
    prefix,
    prefix,
    ...there.values,
    updatedSince,
    tag,
    `\n${tag}\n`,
    ...(metadata?.texts ?? []),
    atOnce,
  );
}

/** Returns the last context of a step after an id; undefined where there are fewer. */
function endOfStep(reader: Reader, from: string, prefix: string): { id: string; space: string } | undefined {
  return reader.get(
    `SELECT id, space FROM contexts WHERE ${AFTER_WITH_PREFIX} ORDER BY id LIMIT 1 OFFSET ?`,
    ...afterWithPrefix(from, prefix),
    STEP - 1,
  );
}

/**
 * The condition over `id` that it comes after an id and may begin with a prefix. One lower bound: of two, SQLite looks
 * up one alone, and reads every row between it and the other.
 */
export const AFTER_WITH_PREFIX = "id >= max(?, ?) AND id <> ? AND id < ?";

/** Returns the values of `AFTER_WITH_PREFIX`. */
export function afterWithPrefix(after: string, prefix: string): string[] {
  return [after, prefix, after, endOfPrefix(prefix)];
}

/** Returns a text greater than every id that starts with `prefix`, as the end of an index scan. No id has U+10FFFF. */
export function endOfPrefix(prefix: string): string {
  return `${prefix}\u{10ffff}`;
}

function pick(row: z.infer<typeof contextMetadata>, fields: readonly (typeof FIELDS)[number][] | undefined) {
  if (fields === undefined) return row;
  return { id: row.id, ...Object.fromEntries(fields.map((field) => [field, row[field]])) };
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
