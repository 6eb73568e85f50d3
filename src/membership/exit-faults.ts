// The ways in which a fleet ends a node: it left, it could not join, or its data are of another device. The same words for a full node and an edge.

import { requestQuarantine } from "../datadir/next-start.ts";
import type { Member } from "../fleet/index.ts";
import { Fault } from "../lib/fault.ts";
import { reasonOf } from "../lib/reason-of.ts";
import type { Conditions } from "../observe/conditions.ts";

/** The answer to `cairn leave` goes out before the node ends. */
const ANSWER_MS = 300;

/** Has the data set aside at the next start, and ends the node. */
export function stopAfterLeaving(dataDir: string, fleet: string, onFatal: (fault: Fault) => void): void {
  requestQuarantine(dataDir, `This node left the fleet ${fleet}`);
  const fault = new Fault("not_a_member", `This node has left the fleet ${fleet} and ends`, {
    hint: "Its next start begins a fleet of its own; what it held is then kept under aside/ in the data folder.",
  });
  setTimeout(onFatal, ANSWER_MS, fault);
}

/** What ends a node whose join failed; a refusal stays readable as a condition until then. */
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

/** Ends a node whose data folder is a copy of another device's, and has it set aside at the next start. */
export function copiedDataFault(dataDir: string, { name, node }: Pick<Member, "name" | "node">): Fault {
  const why = `This data folder is a copy of that of ${name} (${node})`;
  requestQuarantine(dataDir, why);
  return new Fault("data_corrupt", `${why}, and this is another device`, {
    hint: "Start it again: the copy is then set aside under aside/, and the node begins anew. If the device was only given a new tailnet identity, join again with cairn join.",
  });
}

/** Ends a node that has another tailnet identity than its data, which stay: the device that they name is nowhere to be seen. */
export function lostIdentityFault(dataDir: string, { name, node }: Pick<Member, "name" | "node">): Fault {
  return new Fault(
    "data_corrupt",
    `The data in ${dataDir} are those of ${name} (${node}), and this is another device; that one is not on the tailnet`,
    {
      hint: "If this machine lost its tailnet identity, put the folder tailnet/ back; or remove the old member on the leader, move store/ and raft/ away and join again; or, where no other member is left, go on with cairn recover --accept-loss.",
    },
  );
}
