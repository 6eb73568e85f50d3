// Begins a new history on a store that continues alone. What other nodes wrote after this state belongs to another
// history, and positions show it (replication.md 1).

import { randomBytes } from "node:crypto";
import { hasTable, type Store } from "../store/store.ts";
import { newFleetKey, writeFleetKey } from "./fleet-key.ts";
import { beginFleet } from "./meta.ts";

/**
 * Forks the history at its newest change: new random ids of epoch and fleet, and a fleet of one that has no raft log
 * yet. `cleared` names the tables that a new history begins empty. Returns the epoch's id; the caller moves the raft
 * folder away.
 */
export function forkHistory(store: Store, cleared: readonly string[]): string {
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
    const fleet = randomBytes(16).toString("hex");
    beginFleet(tx, fleet);
    // Earlier keys stay: backups of the history before can still be verified.
    writeFleetKey(tx, fleet, newFleetKey());
    for (const table of cleared) if (hasTable(tx, table)) tx.run(`DELETE FROM ${table}`);
    return id;
  });
}
