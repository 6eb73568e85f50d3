// What a member's store remembers of its raft log, in the table `meta` beside the state it belongs to, and what the Go half may ask of the store.

import { Fault } from "../lib/fault.ts";
import type { Reader, Store, Writer } from "../store/store.ts";
import type { AppliedPlace, StoreAsk } from "./raft-frames.ts";

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
  return store.transaction((tx) => {
    if (placeOf(tx).index < ask.index) writeApplied(tx, ask.index, ask.term);
    tx.run("INSERT OR REPLACE INTO meta (key, value) VALUES ('raft_server', ?)", ask.server);
    const head = tx.get<{ seq: number; hash: Uint8Array }>("SELECT seq, hash FROM head");
    if (head === undefined) throw new Error("a store without a head");
    return { applied: placeOf(tx).index, seq: head.seq, chain: Buffer.from(head.hash).toString("hex") };
  });
}

/** Makes the copy of a peer this member's store; refuses one that is older than its label. */
export function installStore(store: Store, ask: Extract<StoreAsk, { do: "install" }>): AppliedPlace {
  const before = store.reader.get<{ seq: number }>("SELECT seq FROM head")?.seq ?? 0;
  const place = placeOf(store.reader);
  store.replaceBy(ask.path, (tx) => {
    const found = placeOf(tx);
    if (found.index < ask.index) {
      throw new Fault("data_corrupt", `The copy is at entry ${found.index}, before its label ${ask.index}`, {
        hint: "The leader makes another one.",
      });
    }
    const seq = tx.get<{ seq: number }>("SELECT seq FROM head")?.seq ?? 0;
    if (place.server !== "" && seq < before) {
      throw new Fault("data_corrupt", `The copy ends at change ${seq}, and this member applied ${before} already`, {
        hint: "Set this member's data aside and join again.",
      });
    }
    tx.run("INSERT OR REPLACE INTO meta (key, value) VALUES ('raft_server', ?)", ask.server);
  });
  return placeOf(store.reader);
}
