// The epoch of a store and where earlier ones were left (replication.md 1), read once at the start.

import { randomBytes } from "node:crypto";
import type { Store } from "../store/store.ts";
import type { Position } from "./position.ts";

interface EpochRow {
  n: number;
  id: string;
  parent: string | null;
  fork_seq: number;
}

export interface History {
  epoch: string;
  seq: number;
  /** Hash of the newest change row; 32 zero bytes before the first. */
  hash: Uint8Array;
  logTimeMs: number;
  sameHistory(position: Position): boolean;
}

/** Reads the newest state of the history, and begins the first epoch in a new store. */
export function openHistory(store: Store): History {
  const epochs = store.transaction((tx) => {
    const found = tx.all<EpochRow>("SELECT n, id, parent, fork_seq FROM epochs ORDER BY n");
    if (found.length > 0) return found;
    const id = randomBytes(5).toString("hex");
    tx.run("INSERT INTO epochs (n, id, parent, fork_seq, fork_hash) VALUES (1, ?, NULL, 0, ?)", id, new Uint8Array(32));
    tx.run("INSERT INTO meta (key, value) VALUES ('fleet_id', ?), ('fleet_level', 1)", randomBytes(16).toString("hex"));
    return [{ n: 1, id, parent: null, fork_seq: 0 }];
  });
  const current = epochs.at(-1);
  if (current === undefined) throw new Error("a store without an epoch");
  const last = store.reader.get<{ seq: number; hash: Uint8Array; log_time: number }>(
    "SELECT seq, hash, log_time FROM changes ORDER BY seq DESC LIMIT 1",
  );
  return {
    epoch: current.id,
    seq: last?.seq ?? 0,
    hash: last?.hash ?? new Uint8Array(32),
    logTimeMs: last?.log_time ?? 0,
    sameHistory: (position) => {
      const at = epochs.findIndex((epoch) => epoch.id === position.epoch);
      return at >= 0 && epochs.slice(at + 1).every((later) => position.seq <= later.fork_seq);
    },
  };
}
