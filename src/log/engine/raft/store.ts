// What a member's store remembers of its raft log, in the table `meta` beside the state it belongs to, and what the Go half may ask of the store.

import type { Reader, Store, Writer } from "../../../store/store.ts";
import { readMeta, writeMeta } from "../../meta.ts";
import type { AppliedPlace, StoreAsk } from "./frames.ts";

/** How far the store is. */
export function placeOf(reader: Reader): AppliedPlace {
  return {
    index: readMeta(reader, "applied_index") ?? 0,
    term: readMeta(reader, "applied_term") ?? 0,
    server: readMeta(reader, "raft_server") ?? "",
  };
}

/** Writes with a batch which entry it ends with. */
export function writeApplied(tx: Writer, index: number, term: number): void {
  writeMeta(tx, { applied_index: Math.trunc(index), applied_term: Math.trunc(term) });
}

/** Makes the store durable up to an entry that changed nothing in it, under this server's id; what is further stays. */
export function markStore(store: Store, ask: Extract<StoreAsk, { do: "mark" }>) {
  return store.durably((tx) => {
    if (placeOf(tx).index < ask.index) writeApplied(tx, ask.index, ask.term);
    writeMeta(tx, { raft_server: ask.server });
    const head = tx.get<{ seq: number; hash: Uint8Array }>("SELECT seq, hash FROM head");
    if (head === undefined) throw new Error("a store without a head");
    return { applied: placeOf(tx).index, seq: head.seq, chain: Buffer.from(head.hash).toString("hex") };
  });
}
