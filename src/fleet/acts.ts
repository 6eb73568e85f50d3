// Acts of an admin on the fleet: transfer the lead, leave. They affect this node and raft, and are not commands of the
// log.

import { z } from "zod";
import { type ActOperation, act } from "../operation/define.ts";
import { ServiceKey, type Services } from "../operation/services.ts";
import { nodeId } from "./rows.ts";

/** What the acts need of their node. */
export interface FleetActions {
  /** Transfers the lead to a member (StableNodeID), or to the most current voter. Fault `not_leader` on other nodes. */
  transfer(node: string | undefined, signal: AbortSignal): Promise<{ node: string; name: string }>;
  /** Asks the fleet to remove this node. Resolves when it has; the node then stops. */
  leave(signal: AbortSignal): Promise<{ fleet: string }>;
}

const FLEET = { verb: "admin", spaces: ["fleet"] } as const;
const member = z.object({ node: z.string(), name: z.string() });
const left = z.object({ fleet: z.string(), kept: z.string().describe("Where its earlier data will be.") });

/** The actions of a node on its fleet. They reject with Fault `unavailable` where the node is in no fleet. */
export const FLEET_ACTIONS: ServiceKey<FleetActions> = new ServiceKey("the actions on the fleet");

/** Transfers the lead. */
export function fleetTransfer(node: Services): ActOperation<z.ZodObject, typeof member> {
  return act({
    name: "fleet_transfer",
    title: "Hand the lead over",
    description: "Lets another voter order writes from now on; takes well under a second. Only the leader can.",
    input: z.object({ node: nodeId.optional().describe("StableNodeID of the voter; left out: the most current one.") }),
    samples: { node: "nOTHERCNTRL" },
    output: member,
    access: FLEET,
    run: (input, { signal }) => node.get(FLEET_ACTIONS).transfer(input["node"] as string | undefined, signal),
  });
}

/** Takes this node out of its fleet. */
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
