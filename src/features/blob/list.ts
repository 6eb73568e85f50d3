// blob_stat and blob_list: what is known of blobs, without their bytes. The list has only spaces that the caller may
// read.

import { z } from "zod";
import { BLOB_LEVEL, publicReferences } from "../../operation/blob-references.ts";
import { read } from "../../operation/define.ts";
import { listCursor, parseListCursor } from "../../operation/page-cursor.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import type { Reader } from "../../store/store.ts";
import { blobHash, blobShown, blobSpace, shownBlob } from "./arguments.ts";
import { type BlobRow, holdersOf, requireBlob, usedBytes } from "./rows.ts";

const MAX_PAGE = 500;
const DEFAULT_PAGE = 100;
const cursorShape = z.tuple([z.string(), z.string()]);

/** What is known of one blob. */
export const blobStat = read({
  name: "blob_stat",
  title: "Look at a blob",
  search: "size of a file, does a blob exist, who holds it",
  description:
    "Returns size, media type, author, copies and references of a blob of a space, without its bytes: those are read with `cairn blob get` or GET /blobs/{sha256}.",
  input: z.object({ space: blobSpace, sha256: blobHash }),
  example: { space: "team-a", sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" },
  output: shownBlob,
  access: { verb: "read", spaces: ({ space }) => [space] },
  aliases: { hash: "sha256" },
  run(reader, { space, sha256 }) {
    refuseBelowLevel(reader, BLOB_LEVEL, "blob_stat");
    return shown(reader, requireBlob(reader, space, sha256));
  },
});

/** Lists the blobs that the caller may see. */
export const blobList = read({
  name: "blob_list",
  title: "List blobs",
  search: "files, artifacts, screenshots, what is stored, used bytes",
  description:
    "Lists blobs by space and hash: size, type, author, copies, references. A blob holds files that are too large for a context; a context keeps it by naming its sha256 in metadata.blobs.",
  input: z.object({
    space: blobSpace.unwrap().optional().describe("Only blobs of this space (default: of all that you may read)."),
    limit: z.number().int().min(1).max(MAX_PAGE).optional().describe(`At most this many (default ${DEFAULT_PAGE}).`),
    cursor: z.string().min(1).max(1024).optional().describe("The cursor of the previous page."),
  }),
  example: { space: "team-a" },
  samples: { limit: 10, cursor: "WyJ0ZWFtLWEiLCI5Zjg2Il0" },
  output: z.object({
    blobs: z.array(shownBlob),
    used_bytes: z.number().int().optional().describe("Bytes that blobs of the space count; only with space."),
    cursor: z.string().optional().describe("Pass it back for the next page; absent on the last."),
  }),
  access: { verb: "read", spaces: ({ space }) => (space === undefined ? "visible" : [space]) },
  run(reader, { space, limit = DEFAULT_PAGE, cursor }, context) {
    const after = cursor === undefined ? ["", ""] : parseListCursor(cursor, cursorShape, "this list");
    refuseBelowLevel(reader, BLOB_LEVEL, "blob_list");
    const spaces = space === undefined ? visibleSpaces(reader, context.visible) : [space];
    const rows = reader.all<BlobRow>(
      `SELECT * FROM blobs WHERE (space, sha256) > (?, ?) AND space IN (SELECT value FROM json_each(?))
         ORDER BY space, sha256 LIMIT +?`,
      ...after,
      JSON.stringify(spaces),
      limit + 1,
    );
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    return {
      blobs: page.map((row) => shown(reader, row)),
      ...(space === undefined ? {} : { used_bytes: usedBytes(reader, "space", space) }),
      ...(rows.length > limit && last !== undefined ? { cursor: listCursor([last.space, last.sha256]) } : {}),
    };
  },
});

function shown(reader: Reader, row: BlobRow) {
  return blobShown(row, publicReferences(reader, row.space, row.sha256), holdersOf(reader, row.sha256).length);
}

/** Returns the visible spaces that have blobs, by one index lookup a space. */
function visibleSpaces(reader: Reader, visible: (space: string) => boolean): string[] {
  const spaces: string[] = [];
  for (let after = ""; ; ) {
    const sql = "SELECT space FROM blobs WHERE space > ? ORDER BY space LIMIT 1";
    const next = reader.get<{ space: string }>(sql, after);
    if (next === undefined) return spaces;
    if (visible(next.space)) spaces.push(next.space);
    after = next.space;
  }
}
