// Exports what only this store holds after a fork of histories: all kept versions of the contexts that changed since.
// `cairn context get --from` reads such a file, `cairn import` imports it.

import { Sha256 } from "../../lib/sha256.ts";
import { formatPosition, type Position } from "../../log/position.ts";
import type { Reader } from "../../store/store.ts";
import { EXPORT_FORMAT } from "./export-stream.ts";
import { STORED_COLUMNS, type StoredVersion } from "./rows.ts";
import { lineOf } from "./version-line.ts";

/** Yields the lines of the export, without line ends. Read them without a pause: they hold a read of the file open. */
export function* archivedLines(reader: Reader, afterSeq: number, position: Position): Generator<string> {
  const hash = new Sha256();
  const said = (line: string): string => {
    hash.update(`${line}\n`);
    return line;
  };
  let versions = 0;
  let contexts = 0;
  yield said(JSON.stringify({ cairn_export: EXPORT_FORMAT, position: formatPosition(position), prefix: "" }));
  const changed = reader.all<{ id: string; created_at: number }>(
    "SELECT c.id AS id, c.created_at AS created_at FROM contexts c WHERE EXISTS (SELECT 1 FROM versions v WHERE v.id = c.id AND v.seq > ?) ORDER BY c.id",
    afterSeq,
  );
  for (const { id, created_at } of changed) {
    contexts += 1;
    const rows = reader.iterate<StoredVersion>(
      `SELECT ${STORED_COLUMNS} FROM versions WHERE id = ? ORDER BY version`,
      id,
    );
    for (const row of rows) {
      versions += 1;
      yield said(lineOf(id, row, Math.min(created_at, row.log_time)));
    }
  }
  yield JSON.stringify({ end: true, contexts, versions, sha256: hash.hex() });
}
