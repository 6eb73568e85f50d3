// Begins a new history on a store that goes on alone: what was written elsewhere after this state is another history, and positions show it (replication.md 1).

import { randomBytes } from "node:crypto";
import type { Store } from "../store/store.ts";
import { beginFleet } from "./meta.ts";

/** Who was in the fleet of before, and what would let others into it. */
const TABLES_OF_A_FLEET = ["members", "tickets"];

/** Forks the history at its newest change: new random ids of epoch and fleet, a fleet of one that no raft log has yet. Answers the epoch's id. The raft folder is the caller's to set aside. */
export function forkHistory(store: Store): string {
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
    beginFleet(tx, randomBytes(16).toString("hex"));
    for (const table of TABLES_OF_A_FLEET) {
      // A store of before has no such table yet; migrations run when it is opened, so only a test can see this.
      const there = tx.get("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", table);
      if (there !== undefined) tx.run(`DELETE FROM ${table}`);
    }
    return id;
  });
}
