// Lets a member verify that a refusal comes from its own fleet, and not from a node that continued in another history.
// To a stranger the mark tells nothing.

import { sha256Hex } from "../lib/sha256.ts";

/** Returns the mark of a fleet for one asking device (StableNodeID), 32 hex digits; "" where the fleet is not known. */
export function fleetMark(fleetId: string, node: string): string {
  return fleetId === "" ? "" : sha256Hex(JSON.stringify([fleetId, node])).slice(0, 32);
}
