// Removes old change rows by command (replication.md 3), up to an explicit floor. The hash at the floor is kept, so the
// chain above it can still be verified.

import type { Writer } from "../store/store.ts";

/** Most rows that one command removes. */
export const MAX_COMPACTED_CHANGES = 1000;

/**
 * Removes the changes up to and including `floor`, at most MAX_COMPACTED_CHANGES of them, and returns how many. The
 * newest change always stays.
 */
export function compactChanges(tx: Writer, floor: number): number {
  const head = tx.get<{ floor: number }>("SELECT floor FROM head");
  if (head === undefined) throw new Error("a store without a head");
  // Not the seq of the head: that is written at the end of an entry, and the result must not depend on how commands are
  // cut into entries.
  const newest = tx.get<{ seq: number | null }>("SELECT MAX(seq) AS seq FROM changes")?.seq ?? 0;
  const last = Math.min(floor, head.floor + MAX_COMPACTED_CHANGES, newest - 1);
  const row = tx.get<{ hash: Uint8Array }>("SELECT hash FROM changes WHERE seq = ?", last);
  if (last <= head.floor || row === undefined) return 0;
  tx.run("UPDATE head SET floor = ?, floor_hash = ? WHERE one = 1", last, row.hash);
  return tx.run("DELETE FROM changes WHERE seq <= ?", last).changes;
}
