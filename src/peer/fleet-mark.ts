// Lets a member verify that a refusal comes from its own fleet, and not from a node that continued in another history.
// To a stranger the mark tells nothing.

import { createHash } from "node:crypto";

/** Returns the mark of a fleet for one asking device (StableNodeID), 32 hex digits; "" where the fleet is not known. */
export function fleetMark(fleetId: string, node: string): string {
  return fleetId === ""
    ? ""
    : createHash("sha256")
        .update(JSON.stringify([fleetId, node]))
        .digest("hex")
        .slice(0, 32);
}
