// Collection: what no context refers to is removed after its grace. Each blob is looked at from time to time; one that
// is seen without references gets a whole grace from then on, so a reference that comes back in between keeps it.

import { BLOB_LEVEL, forgetFree, freeSince, isReferenced, noteFree } from "../../operation/blob-references.ts";
import { expiring, MAX_EXPIRED } from "../../operation/expiring.ts";
import { type BlobRow, removeRow } from "./rows.ts";

/** The rows that are due, and the command that looks at them. */
export const blobsDue = expiring({
  name: "blob_collect",
  level: BLOB_LEVEL,
  title: "Collect blobs",
  due: (reader) => reader.get<{ check_at: number }>("SELECT check_at FROM blobs ORDER BY check_at LIMIT 1")?.check_at,
  expire(tx, stamp) {
    const due = tx.all<BlobRow>(
      "SELECT * FROM blobs WHERE check_at <= ? ORDER BY check_at, space, sha256 LIMIT +?",
      stamp.timeMs,
      MAX_EXPIRED,
    );
    const changes = due.flatMap((row) => {
      const { space, sha256 } = row;
      const referenced = isReferenced(tx, space, sha256);
      if (!referenced && freeSince(tx, space, sha256) !== undefined) return [removeRow(tx, row, "collected")];
      if (referenced) forgetFree(tx, space, sha256);
      else noteFree(tx, space, sha256, stamp.timeMs);
      const next = stamp.timeMs + row.keep_ms;
      tx.run("UPDATE blobs SET check_at = ? WHERE space = ? AND sha256 = ?", next, space, sha256);
      return [];
    });
    return { removed: due.length, changes };
  },
});
