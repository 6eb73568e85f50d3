// Makes the copy of a peer this member's store (replication.md 22), after finding that it is of this fleet, not older than its label, and goes on from what this member has applied.

import { Fault } from "../../../lib/fault.ts";
import type { Reader, Store, Writer } from "../../../store/store.ts";
import { hashAt } from "../../history.ts";
import { quarantine } from "./faults.ts";
import type { StoreAsk } from "./frames.ts";
import { placeOf } from "./store.ts";

export interface InstallOptions {
  /** Fleet id and epoch that the copy must be of. */
  fleet: string;
  epoch: string;
  /** Removes what is the peer's own. */
  clean: (tx: Writer) => void;
  /** Keeps the changes after a seq, which only this store has; answers where they are. */
  park: (afterSeq: number) => string;
}

/** Installs the copy or throws, with nothing changed: Fault `data_corrupt`, as a quarantine where this store holds what the copy does not. */
export function installStore(
  store: Store,
  ask: Extract<StoreAsk, { do: "install" }>,
  { fleet, epoch, clean, park }: InstallOptions,
): void {
  const wasMember = placeOf(store.reader).server !== "";
  store.replaceBy(ask.path, (tx) => {
    const found = fleetOf(tx);
    if (found.fleet !== fleet || found.epoch !== epoch) {
      throw badCopy(`is of fleet ${found.fleet} in epoch ${found.epoch}, not of ${fleet} in ${epoch}`);
    }
    const { index } = placeOf(tx);
    if (index < ask.index) throw badCopy(`is at entry ${index}, before its label ${ask.index}`);
    const fork = wasMember ? forkOf(store.reader, tx) : undefined;
    if (fork !== undefined) {
      const kept = park(fork);
      throw quarantine(
        "diverged",
        `This member holds changes after ${fork} that its fleet does not have; they are kept in ${kept}`,
        { fork, parked: kept },
      );
    }
    clean(tx);
    tx.run("INSERT OR REPLACE INTO meta (key, value) VALUES ('raft_server', ?)", ask.server);
  });
}

/** Fleet id and newest epoch of a store; "" where there is none. */
export function fleetOf(reader: Reader): { fleet: string; epoch: string } {
  return {
    fleet: reader.get<{ value: string }>("SELECT value FROM meta WHERE key = 'fleet_id'")?.value ?? "",
    epoch: reader.get<{ id: string }>("SELECT id FROM epochs ORDER BY n DESC LIMIT 1")?.id ?? "",
  };
}

/** The last change that both are known to have, where `own` does not go on into `other`; undefined where it does. */
export function forkOf(own: Reader, other: Reader): number | undefined {
  const head = own.get<{ seq: number; floor: number }>("SELECT seq, floor FROM head");
  const there = other.get<{ seq: number; floor: number }>("SELECT seq, floor FROM head");
  if (head === undefined || there === undefined) throw new Error("a store without a head");
  // Below the other's floor nothing can be compared; that it was compacted away there says that it was there.
  if (head.seq <= there.floor || sameAt(own, other, head.seq)) return undefined;
  let same = Math.max(head.floor, there.floor);
  let differs = Math.min(head.seq, there.seq + 1);
  while (differs - same > 1) {
    const middle = Math.floor((same + differs) / 2);
    if (sameAt(own, other, middle)) same = middle;
    else differs = middle;
  }
  // What was compacted away may differ too, as in a history that was never the same.
  return sameAt(own, other, same) ? same : 0;
}

function sameAt(own: Reader, other: Reader, seq: number): boolean {
  const [one, two] = [hashAt(own, seq), hashAt(other, seq)];
  return one !== undefined && two !== undefined && Buffer.compare(one, two) === 0;
}

function badCopy(why: string): Fault {
  return new Fault("data_corrupt", `The copy of a peer ${why}`, { hint: "The leader makes another one." });
}
