// context_export: returns the kept history of contexts as pages of lines, all of them at one position. Versions never
// change, so the pages need no common read of the store.

import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { Fault } from "../../lib/fault.ts";
import { SHOW_ROW } from "../../lib/work.ts";
import { type CallContext, read } from "../../operation/define.ts";
import { listCursor, parseListCursor } from "../../operation/page-cursor.ts";
import type { Viewer } from "../../operation/viewer.ts";
import type { Reader } from "../../store/store.ts";
import { idPrefix, MAX_ID_CURSOR } from "./context-id.ts";
import { endOfPrefix, remembered } from "./list-contexts.ts";
import { readable, readableFrom } from "./readable.ts";
import { type StoredVersion, storedHead } from "./rows.ts";
import { lineOf } from "./version-line.ts";

const MAX_LINES = 500;
/** A page ends with the line that exceeds this length. */
const PAGE_CHARACTERS = 1024 * 1024;
/** Rows read at once, before other work gets a turn. */
const STEP = 50;
/** Units of work: read, checked by its hash, written as JSON within JSON. */
const EXPORT_BYTE = 10;

/** Where a page ended. */
interface PageEnd {
  id: string;
  version: number;
  /** The export contains what was applied up to this seq. */
  seq: number;
}

/** Exports contexts with their history. */
export const contextExport = read({
  name: "context_export",
  title: "Export contexts",
  description:
    "Returns every kept version that you may read of the contexts under a prefix as JSON lines, in pages, for `cairn export`. context_import imports them without loss.",
  input: z.object({
    prefix: idPrefix.optional(),
    cursor: z.string().min(1).max(MAX_ID_CURSOR).optional().describe("The cursor of the previous page."),
  }),
  example: { prefix: "team-a/" },
  samples: { cursor: "WyJ0ZWFtLWEvcGxhbiIsMSw3XQ" },
  output: z.object({
    lines: z.array(z.string()).describe("One version a line, ordered by id and version."),
    snapshot: z.string().describe("The position that all pages show."),
    cursor: z.string().optional().describe("Pass it back for the next page; absent on the last page."),
  }),
  access: { verb: "admin", spaces: "visible" },
  async run(reader, input, context) {
    const prefix = input.prefix ?? "";
    const from =
      input.cursor === undefined ? { id: "", version: 0, seq: context.position().seq } : readCursor(input.cursor);
    const page = await pageOf(reader, from, prefix, context);
    return {
      lines: page.lines,
      snapshot: context.positionAt(from.seq),
      ...(page.next === undefined ? {} : { cursor: writeCursor(page.next) }),
    };
  },
});

type Row = StoredVersion & { id: string; created_at: number };

async function pageOf(
  reader: Reader,
  from: PageEnd,
  prefix: string,
  { visible, viewer, spend, signal }: CallContext,
): Promise<{ lines: string[]; next?: PageEnd }> {
  const lines: string[] = [];
  let characters = 0;
  let at = from;
  const firstOf = remembered((id) => firstExported(reader, id, viewer(spaceOf(id))));
  for (;;) {
    const rows = rowsAfter(reader, at, prefix);
    spend(rows.reduce((sum, { size }) => sum + SHOW_ROW + EXPORT_BYTE * size, 0));
    for (const row of rows) {
      if (row.id === at.id && at.version > 0 && row.version !== at.version + 1) throw removedMeanwhile(row.id);
      at = { id: row.id, version: row.version, seq: at.seq };
      if (!row.id.startsWith(prefix) || !visible(spaceOf(row.id)) || row.version < firstOf(row.id)) continue;
      const line = lineOf(row.id, row, Math.min(row.created_at, row.log_time));
      lines.push(line);
      characters += line.length;
      if (lines.length >= MAX_LINES || characters >= PAGE_CHARACTERS) return { lines, next: at };
    }
    if (rows.length < STEP) return { lines };
    await nextTurn();
    signal.throwIfAborted();
  }
}

function rowsAfter(reader: Reader, { id, version, seq }: PageEnd, prefix: string): Row[] {
  return reader.all<Row>(
    `SELECT v.*, c.created_at AS created_at FROM versions v JOIN contexts c ON c.id = v.id
       WHERE (v.id, v.version) > (?, ?) AND v.id >= ? AND v.id < ? AND v.seq <= ? ORDER BY v.id, v.version LIMIT +?`,
    // The index begins at the id: from the empty one on it would read all that come before the prefix.
    id === "" ? prefix : id,
    version,
    prefix,
    endOfPrefix(prefix),
    seq,
    STEP,
  );
}

/**
 * Returns the first version of a context that is in the export of a viewer: from it on there is no gap, which an import
 * would refuse.
 */
function firstExported(reader: Reader, id: string, viewer: Viewer): number {
  const head = readable(storedHead(reader, id), viewer);
  return head === undefined ? Number.POSITIVE_INFINITY : readableFrom(reader, head, viewer);
}

function removedMeanwhile(id: string): Fault {
  return new Fault("below_floor", `Versions of ${JSON.stringify(id)} were removed during the export`, {
    hint: "Start the export again.",
  });
}

function writeCursor({ id, version, seq }: PageEnd): string {
  return listCursor([id, version, seq]);
}

const cursorShape = z.tuple([z.string().min(1).max(256), z.number().int().min(1), z.number().int().min(0)]);

function readCursor(cursor: string): PageEnd {
  const [id, version, seq] = parseListCursor(cursor, cursorShape, "an export");
  return { id, version, seq };
}
