// Makes a peer's copy this member's store (replication.md 22). Checks first that it is of this fleet, is not older than
// its label, and continues what this member has applied.

import { Fault } from "../../../lib/fault.ts";
import type { Store, Writer } from "../../../store/store.ts";
import { fleetOf, forkOf } from "../../history.ts";
import { levelOf, refuseHigherLevel } from "../../level.ts";
import { writeMeta } from "../../meta.ts";
import { noteCopy } from "../../purge-state.ts";
import { appliedState } from "./applied-state.ts";
import type { StoreAsk } from "./frames.ts";

export interface InstallOptions {
  /** Fleet id and epoch that the copy must be of. */
  fleet: string;
  epoch: string;
  /** Removes what belongs to the peer alone. */
  clean: (tx: Writer) => void;
}

/**
 * Installs the copy, or throws Fault `data_corrupt` with nothing changed, also where this store has changes that the
 * copy lacks (details.fork); `data_newer` for a copy of a higher fleet level than this build knows.
 */
export function installStore(
  store: Store,
  ask: Extract<StoreAsk, { do: "install" }>,
  { fleet, epoch, clean }: InstallOptions,
): void {
  const wasMember = appliedState(store.reader).server !== "";
  store.replaceBy(ask.path, (tx) => {
    const found = fleetOf(tx);
    if (found.fleet !== fleet || found.epoch !== epoch) {
      throw badCopy(`is of fleet ${found.fleet} in epoch ${found.epoch}, not of ${fleet} in ${epoch}`);
    }
    refuseHigherLevel(levelOf(tx), "The copy of a peer");
    const { index } = appliedState(tx);
    if (index < ask.index) throw badCopy(`is at entry ${index}, before its label ${ask.index}`);
    const fork = wasMember ? forkOf(store.reader, tx) : undefined;
    // Which of the two is wrong is for the majority to say, not for one leader (replication.md 33).
    if (fork !== undefined) throw badCopy(`lacks changes after ${fork} that this member has`, { fork });
    clean(tx);
    noteCopy(tx, store.reader, index);
    writeMeta(tx, { raft_server: ask.server });
  });
}

function badCopy(why: string, details: Record<string, unknown> = {}): Fault {
  return new Fault("data_corrupt", `The copy of a peer ${why}`, { hint: "The leader makes another one.", details });
}
