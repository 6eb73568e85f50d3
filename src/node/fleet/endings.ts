// The two ways in which a fleet ends a node: it left, or it could not join. The same words for a full node and an edge.

import { Fault } from "../../lib/fault.ts";
import type { Conditions } from "../../observe/conditions.ts";
import { requestAside } from "./plan.ts";

/** The answer to `cairn leave` goes out before the node ends. */
const ANSWER_MS = 300;

/** Has the data set aside at the next start, and ends the node. */
export function endAfterLeaving(dataDir: string, fleet: string, onFatal: (fault: Fault) => void): void {
  requestAside(dataDir, `This node left the fleet ${fleet}`);
  const fault = new Fault("not_a_member", `This node has left the fleet ${fleet} and ends`, {
    hint: "Its next start begins a fleet of its own; what it held is then kept under aside/ in the data folder.",
  });
  setTimeout(onFatal, ANSWER_MS, fault);
}

/** What ends a node whose join failed; a refusal stays readable as a condition until then. */
export function faultOfJoin(error: unknown, conditions: Conditions): Fault {
  if (!(error instanceof Fault)) {
    const why = error instanceof Error ? error.message : String(error);
    return new Fault("unavailable", `Joining the fleet failed: ${why}`, {
      hint: "Start the node again.",
      cause: error,
    });
  }
  if (error.code === "join_refused") conditions.raise("join_refused", error.message);
  return error;
}
