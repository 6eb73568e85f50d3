// The history of a store (replication.md 1): its epochs, where each was forked from the one before, and its head. Also
// compares the histories of two stores.

import { randomBytes } from "node:crypto";
import { Fault } from "../lib/fault.ts";
import type { Reader, Store } from "../store/store.ts";
import { newFleetKey, writeFleetKey } from "./fleet-key.ts";
import { KNOWN_LEVEL, levelOf, refuseHigherLevel } from "./level.ts";
import { beginFleet, readMeta, writeMeta } from "./meta.ts";
import type { Position } from "./position.ts";
import { type RunningDigest, readDigest } from "./running-digest.ts";

interface EpochRow {
  n: number;
  id: string;
  parent: string | null;
  fork_seq: number;
}

interface HeadRow {
  seq: number;
  hash: Uint8Array;
  log_time: number;
}

/** The history that a store holds, and its head when it was opened. */
export interface History {
  epoch: string;
  seq: number;
  /** Hash of the newest change row; 32 zero bytes before the first. */
  hash: Uint8Array;
  logTimeMs: number;
  /** Fleet level of the state (replication.md 8). */
  level: number;
  /** Running digest of the state; undefined below its level. */
  digest: RunningDigest | undefined;
  sameHistory(position: Position): boolean;
  positionAt(seq: number): Position;
}

/** Reads the history, and begins the first epoch in a new store. Faults: `data_newer`, `data_corrupt`. */
export function openHistory(store: Store): History {
  const epochs = store.transaction((tx) => {
    const found = tx.all<EpochRow>("SELECT n, id, parent, fork_seq FROM epochs ORDER BY n");
    if (found.length > 0) return found;
    const id = randomBytes(5).toString("hex");
    tx.run("INSERT INTO epochs (n, id, parent, fork_seq, fork_hash) VALUES (1, ?, NULL, 0, ?)", id, new Uint8Array(32));
    tx.run(
      "INSERT INTO head (one, seq, hash, log_time, floor, floor_hash) VALUES (1, 0, ?, 0, 0, ?)",
      new Uint8Array(32),
      new Uint8Array(32),
    );
    const fleet = randomBytes(16).toString("hex");
    beginFleet(tx, fleet);
    writeFleetKey(tx, fleet, newFleetKey());
    writeMeta(tx, { fleet_level: KNOWN_LEVEL });
    return [{ n: 1, id, parent: null, fork_seq: 0 }];
  });
  const current = epochs.at(-1);
  if (current === undefined) throw new Error("a store without an epoch");
  const head = store.reader.get<HeadRow>("SELECT seq, hash, log_time FROM head");
  if (head === undefined) throw new Error("a store without a head");
  refuseCutTail(store, head);
  const level = levelOf(store.reader);
  refuseHigherLevel(level, store.path);
  return {
    epoch: current.id,
    seq: head.seq,
    hash: Uint8Array.from(head.hash),
    logTimeMs: head.log_time,
    level,
    digest: readDigest(store.reader, level),
    positionAt: (seq) => ({ epoch: epochs.findLast((epoch) => seq > epoch.fork_seq)?.id ?? current.id, seq }),
    sameHistory: (position) => {
      const at = epochs.findIndex((epoch) => epoch.id === position.epoch);
      return at >= 0 && epochs.slice(at + 1).every((later) => position.seq <= later.fork_seq);
    },
  };
}

/** Returns the chain hash of one change of a store; undefined where it is not kept. */
export function hashAt(reader: Reader, seq: number): Uint8Array | undefined {
  const found = reader.get<{ hash: Uint8Array }>("SELECT hash FROM changes WHERE seq = ?", seq);
  const at = found ?? reader.get<{ hash: Uint8Array }>("SELECT floor_hash AS hash FROM head WHERE floor = ?", seq);
  return at === undefined ? undefined : Uint8Array.from(at.hash);
}

/** Returns the fleet id and newest epoch of a store; "" where there is none. */
export function fleetOf(reader: Reader): { fleet: string; epoch: string } {
  return {
    fleet: readMeta(reader, "fleet_id") ?? "",
    epoch: reader.get<{ id: string }>("SELECT id FROM epochs ORDER BY n DESC LIMIT 1")?.id ?? "",
  };
}

/**
 * Returns the last change that both histories share, where `own` does not continue in `other`; undefined where it does.
 */
export function forkOf(own: Reader, other: Reader): number | undefined {
  const head = own.get<{ seq: number; floor: number }>("SELECT seq, floor FROM head");
  const there = other.get<{ seq: number; floor: number }>("SELECT seq, floor FROM head");
  if (head === undefined || there === undefined) throw new Error("a store without a head");
  // Nothing can be compared below the other's floor; that it was compacted there proves that it existed there.
  if (head.seq <= there.floor || sameAt(own, other, head.seq)) return undefined;
  let same = Math.max(head.floor, there.floor);
  let differs = Math.min(head.seq, there.seq + 1);
  while (differs - same > 1) {
    const middle = Math.floor((same + differs) / 2);
    if (sameAt(own, other, middle)) same = middle;
    else differs = middle;
  }
  // The compacted part may differ too, as in histories that share nothing.
  return sameAt(own, other, same) ? same : 0;
}

function sameAt(own: Reader, other: Reader, seq: number): boolean {
  const [one, two] = [hashAt(own, seq), hashAt(other, seq)];
  return one !== undefined && two !== undefined && Buffer.compare(one, two) === 0;
}

/**
 * Checks that the newest change is the one that the head names. Better not to start than to continue from a wrong
 * place.
 */
function refuseCutTail(store: Store, head: HeadRow): void {
  const last = store.reader.get<{ seq: number; hash: Uint8Array }>(
    "SELECT seq, hash FROM changes ORDER BY seq DESC LIMIT 1",
  );
  if ((last?.seq ?? 0) === head.seq && (last === undefined || Buffer.compare(last.hash, head.hash) === 0)) return;
  throw new Fault(
    "data_corrupt",
    `The history in ${store.path} ends at change ${last?.seq ?? 0}, but should end at ${head.seq}: it was changed from outside`,
    { hint: "Restore the last backup with `cairn restore`, or ask for help with a copy of the folder." },
  );
}
