// What an admin does to the fleet through one node: hand the lead over, leave. Effects on this node and raft; nothing here is a command of the log.

import { z } from "zod";
import { type ActOperation, act } from "../operation/define.ts";
import { ServiceKey, type Services } from "../operation/services.ts";
import { nodeId } from "./rows.ts";

/** What the acts need of the node they run on. */
export interface FleetActions {
  /** Hands leadership to a member (StableNodeID), or to the most current voter. Fault `not_leader` elsewhere. */
  transfer(node: string | undefined, signal: AbortSignal): Promise<{ node: string; name: string }>;
  /** Asks the fleet to let this node go and waits until it did; the node then stops. */
  leave(signal: AbortSignal): Promise<{ fleet: string }>;
}

const FLEET = { verb: "admin", spaces: () => ["fleet"] } as const;
const member = z.object({ node: z.string(), name: z.string() });
const left = z.object({ fleet: z.string(), kept: z.string().describe("Where its earlier data will be.") });

/** What a node can do to its fleet. Its methods reject with Fault `unavailable` where the node is in none. */
export const FLEET_ACTIONS: ServiceKey<FleetActions> = new ServiceKey("the actions on the fleet");

/** Hands the lead over. */
export function fleetTransfer(node: Services): ActOperation<z.ZodObject, typeof member> {
  return act({
    name: "fleet_transfer",
    title: "Hand the lead over",
    description: "Lets another voter order writes from now on; takes well under a second. Only the leader can.",
    input: z.object({ node: nodeId.optional().describe("StableNodeID of the voter; left out: the most current one.") }),
    output: member,
    access: FLEET,
    run: (input, { signal }) => node.get(FLEET_ACTIONS).transfer(input["node"] as string | undefined, signal),
  });
}

/** Lets this node leave. */
export function fleetLeave(node: Services): ActOperation<z.ZodObject, typeof left> {
  return act({
    name: "fleet_leave",
    title: "Leave the fleet",
    description:
      "Takes this node out of its fleet: it loses its vote, is removed from the others' list, and stops. Its next " +
      "start begins a fleet of its own; its earlier data are kept in aside/.",
    input: z.object({}),
    output: left,
    access: FLEET,
    hints: { destructive: true },
    run: async (_input, { signal }) => ({
      ...(await node.get(FLEET_ACTIONS).leave(signal)),
      kept: "aside/ in the data folder",
    }),
  });
}
