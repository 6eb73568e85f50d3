// By what a member sees that a refusal comes from its own fleet, and not from a node that has gone on in another history: it tells a stranger nothing.

import { createHash } from "node:crypto";

/** Of a fleet's id for one asking device (StableNodeID); "" where the fleet is not known. */
export function fleetMark(fleetId: string, node: string): string {
  return fleetId === ""
    ? ""
    : createHash("sha256")
        .update(JSON.stringify([fleetId, node]))
        .digest("hex")
        .slice(0, 32);
}
