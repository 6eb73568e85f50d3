// What a member's store remembers of its raft log, in the table `meta` beside the state it belongs to, and what the Go half may ask of the store.

import type { Reader, Store, Writer } from "../../../store/store.ts";
import type { AppliedPlace, StoreAsk } from "./frames.ts";

/** How far the store is. */
export function placeOf(reader: Reader): AppliedPlace {
  const rows = reader.all<{ key: string; value: number | string }>(
    "SELECT key, value FROM meta WHERE key IN ('applied_index', 'applied_term', 'raft_server')",
  );
  const values = new Map(rows.map(({ key, value }) => [key, value]));
  return {
    index: Number(values.get("applied_index") ?? 0),
    term: Number(values.get("applied_term") ?? 0),
    server: String(values.get("raft_server") ?? ""),
  };
}

/** Whether the store says that its fleet has no other full member; one that was never in a fleet is alone too. */
export function isAlone(reader: Reader): boolean {
  return Number(reader.get<{ value: number }>("SELECT value FROM meta WHERE key = 'alone'")?.value ?? 1) === 1;
}

/** To be written by the commands that change who is a member: whether there is no other full member. */
export function writeAlone(tx: Writer, alone: boolean): void {
  tx.run("INSERT OR REPLACE INTO meta (key, value) VALUES ('alone', ?)", alone ? 1 : 0);
}

/** Writes with a batch which entry it ends with. */
export function writeApplied(tx: Writer, index: number, term: number): void {
  tx.run(
    "INSERT OR REPLACE INTO meta (key, value) VALUES ('applied_index', ?), ('applied_term', ?)",
    Math.trunc(index),
    Math.trunc(term),
  );
}

/** Makes the store durable up to an entry that changed nothing in it, under this server's id; what is further stays. */
export function markStore(store: Store, ask: Extract<StoreAsk, { do: "mark" }>) {
  return store.durably((tx) => {
    if (placeOf(tx).index < ask.index) writeApplied(tx, ask.index, ask.term);
    tx.run("INSERT OR REPLACE INTO meta (key, value) VALUES ('raft_server', ?)", ask.server);
    const head = tx.get<{ seq: number; hash: Uint8Array }>("SELECT seq, hash FROM head");
    if (head === undefined) throw new Error("a store without a head");
    return { applied: placeOf(tx).index, seq: head.seq, chain: Buffer.from(head.hash).toString("hex") };
  });
}
