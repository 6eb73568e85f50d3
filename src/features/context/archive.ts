// Exports what only this store holds after a fork of histories: all kept versions of the contexts that changed since.
// `cairn context get --from` reads such a file, `cairn import` imports it.

import { formatPosition, type Position } from "../../log/position.ts";
import type { Reader } from "../../store/store.ts";
import { ExportWriter } from "./export-format.ts";
import type { StoredVersion } from "./rows.ts";
import { lineOf } from "./version-line.ts";

/** Yields the lines of the export, without line ends. Read them without a pause: they hold a read of the file open. */
export function* archivedLines(reader: Reader, afterSeq: number, position: Position): Generator<string> {
  const writer = new ExportWriter();
  yield writer.first(formatPosition(position), "");
  const changed = reader.all<{ id: string; created_at: number }>(
    "SELECT c.id AS id, c.created_at AS created_at FROM contexts c " +
      "WHERE EXISTS (SELECT 1 FROM versions v WHERE v.id = c.id AND v.seq > ?) ORDER BY c.id",
    afterSeq,
  );
  for (const { id, created_at } of changed) {
    const rows = reader.iterate<StoredVersion>("SELECT * FROM versions WHERE id = ? ORDER BY version", id);
    for (const row of rows) yield writer.version(id, lineOf(id, row, Math.min(created_at, row.log_time)));
  }
  yield writer.last();
}
