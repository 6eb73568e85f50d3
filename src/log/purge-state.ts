// What a store knows of purges whose texts must leave the disk of its node, in the table `meta`: of this node alone.

import type { Reader, Writer } from "../store/store.ts";
import { readMeta, writeMeta } from "./meta.ts";

/** The newest purge that is in a store, and up to which seq the disk holds no purged text; both are seqs. */
export interface PurgeState {
  purged: number;
  erased: number;
}

/** Returns the state of a store. Everything is erased where `erased` is at least `purged`. */
export function purgeState(reader: Reader): PurgeState {
  return { purged: readMeta(reader, "purged_seq") ?? 0, erased: readMeta(reader, "erased_seq") ?? 0 };
}

/** Notes that the entry `index` purged a text with the change `seq`. Call it in the transaction of the entry. */
export function notePurge(tx: Writer, seq: number, index: number): void {
  writeMeta(tx, { purged_seq: seq, purged_index: index });
}

/**
 * Notes what an installed copy means: the log of this member may hold texts that were purged while it was away, up to
 * the copy's own position. `before` is the store that the copy replaces.
 */
export function noteCopy(tx: Writer, before: Reader, index: number): void {
  const { purged } = purgeState(tx);
  writeMeta(tx, { purged_index: index, erased_seq: Math.min(purgeState(before).erased, purged) });
}
