// Faults that stop a node because of its fleet: it left, its join was refused, or its data belong to another device.
// The words are the same for full members and edges.

import { requestQuarantine } from "../datadir/index.ts";
import type { Member } from "../fleet/index.ts";
import { Fault } from "../lib/fault.ts";
import { reasonOf } from "../lib/reason-of.ts";
import type { Conditions } from "../observe/conditions.ts";

/** Time for the answer to `cairn leave` to go out before the node stops. */
const ANSWER_MS = 300;

/** Stops the node and requests that the next start moves its data to aside/. */
export function stopAfterLeaving(dataDir: string, fleet: string, onFatal: (fault: Fault) => void): void {
  requestQuarantine(dataDir, `This node left the fleet ${fleet}`);
  const fault = new Fault("not_a_member", `This node has left the fleet ${fleet} and ends`, {
    hint: "Its next start begins a fleet of its own; what it held is then kept in aside/ in the data folder.",
  });
  setTimeout(onFatal, ANSWER_MS, fault);
}

/** Returns the Fault that stops a node whose join failed. A refusal is also raised as a condition until then. */
export function joinFault(error: unknown, conditions: Conditions): Fault {
  if (!(error instanceof Fault)) {
    const why = reasonOf(error);
    return new Fault("unavailable", `Joining the fleet failed: ${why}`, {
      hint: "Start the node again.",
      cause: error,
    });
  }
  if (error.code === "join_refused") conditions.raise("join_refused", error.message);
  return error;
}

/**
 * Returns the Fault of a node whose data folder is a copy of another device's, and requests that the next start moves
 * the data to aside/.
 */
export function copiedDataFault(dataDir: string, { name, node }: Pick<Member, "name" | "node">): Fault {
  const why = `This data folder is a copy of that of ${name} (${node})`;
  requestQuarantine(dataDir, why);
  return new Fault("data_corrupt", `${why}, and this is another device`, {
    hint:
      "Start it again: the copy is then moved to aside/, and the node starts as a new one. If the device was only " +
      "given a new tailnet identity, join again with cairn join.",
  });
}

/**
 * Returns the Fault of a node with another tailnet identity than its data. The data stay, since the device that they
 * name is not visible.
 */
export function lostIdentityFault(dataDir: string, { name, node }: Pick<Member, "name" | "node">): Fault {
  return new Fault(
    "data_corrupt",
    `The data in ${dataDir} are those of ${name} (${node}), and this is another device; that one is not on the tailnet`,
    {
      hint:
        "If this machine lost its tailnet identity, put the folder tailnet/ back; or remove the old member on the " +
        "leader, move store/ and raft/ away and join again.",
    },
  );
}
