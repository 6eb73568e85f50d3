// A member's progress in its raft log, kept in the table `meta` of the same store, so that both change in one
// transaction.

import type { Reader, Store, Writer } from "../../../store/store.ts";
import { readMeta, writeMeta } from "../../meta.ts";
import type { AppliedState, StoreAsk } from "./frames.ts";

/** Returns the last raft entry in the store. */
export function appliedState(reader: Reader): AppliedState {
  return {
    index: readMeta(reader, "applied_index") ?? 0,
    term: readMeta(reader, "applied_term") ?? 0,
    server: readMeta(reader, "raft_server") ?? "",
  };
}

/** Writes the last entry of a batch, in its transaction. */
export function writeApplied(tx: Writer, index: number, term: number): void {
  writeMeta(tx, { applied_index: Math.trunc(index), applied_term: Math.trunc(term) });
}

/**
 * Makes the store durable up to an entry that changed nothing in it, under this server's id. A store that is further
 * stays there.
 */
export function markStore(store: Store, ask: Extract<StoreAsk, { do: "mark" }>) {
  return store.durably((tx) => {
    if (appliedState(tx).index < ask.index) writeApplied(tx, ask.index, ask.term);
    writeMeta(tx, { raft_server: ask.server });
    const head = tx.get<{ seq: number; hash: Uint8Array }>("SELECT seq, hash FROM head");
    if (head === undefined) throw new Error("a store without a head");
    return { applied: appliedState(tx).index, seq: head.seq, chain: Buffer.from(head.hash).toString("hex") };
  });
}
