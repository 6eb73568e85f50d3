// Begins a new history on a store that goes on from a copy: what was written after the copy elsewhere is another history, and positions show it (replication.md 1).

import { randomBytes } from "node:crypto";
import type { Store } from "../store/store.ts";

/** Forks the history at its newest change, under new random ids of epoch and fleet; answers the epoch's id. */
export function beginEpoch(store: Store): string {
  return store.transaction((tx) => {
    const last = tx.get<{ n: number; id: string }>("SELECT n, id FROM epochs ORDER BY n DESC LIMIT 1");
    const head = tx.get<{ seq: number; hash: Uint8Array }>("SELECT seq, hash FROM head");
    if (last === undefined || head === undefined) throw new Error("a store without a history");
    const id = randomBytes(5).toString("hex");
    tx.run(
      "INSERT INTO epochs (n, id, parent, fork_seq, fork_hash) VALUES (?,?,?,?,?)",
      last.n + 1,
      id,
      last.id,
      head.seq,
      head.hash,
    );
    tx.run("UPDATE meta SET value = ? WHERE key = 'fleet_id'", randomBytes(16).toString("hex"));
    return id;
  });
}
