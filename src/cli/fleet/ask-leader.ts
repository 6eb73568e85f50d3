// What the fleet commands share: the members as the node lists them, and telling the user on which node a command has
// to be run where only the leader accepts it.

import type { FleetRole, MembersReport } from "../../fleet/index.ts";
import { ROLES } from "../../fleet/index.ts";
import { Fault } from "../../lib/fault.ts";
import { askNode, type NodeAnswer } from "../client.ts";
import { type Invocation, textOption } from "../command.ts";
import type { ListedDevice } from "./find-device.ts";

/** The answer of fleet_members. */
export interface MembersAnswer {
  fleet: { name: string; id: string; profile: string };
  members: MembersReport["members"];
  pending: (ListedDevice & { caller: string; version: string; since: string })[];
  approvals: { node: string; role: string; expires_at: string }[];
  tickets: number;
}

/**
 * Runs an operation that only the leader accepts. Fault `not_leader` on another node says what to run on the leader;
 * `words` is the command as typed, without `cairn`.
 */
export async function askLeader(
  invocation: Invocation,
  operation: string,
  input: unknown,
  words: string,
): Promise<NodeAnswer> {
  try {
    return await askNode(invocation, operation, input);
  } catch (error) {
    const leader = error instanceof Fault ? error.facts.leader : undefined;
    const name = leader?.name ?? leader?.node;
    // What may have been done already is not to be typed again elsewhere.
    if (!(error instanceof Fault) || name === undefined || error.facts.outcome === "unknown") throw error;
    throw error.retold(`${name} leads this fleet, and only the leader accepts this command`, {
      code: "not_leader",
      hint: `Run it on ${name}: cairn ${words}`,
    });
  }
}

/** Returns the members of the fleet and the devices that ask to join. */
export async function askMembers(invocation: Invocation): Promise<MembersAnswer> {
  // The node has checked its answer against the output schema.
  return (await askNode(invocation, "fleet_members", {})).body as unknown as MembersAnswer;
}

/** Returns the role of `--role`, or undefined. Fault `invalid_input` for another word. */
export function roleOption(invocation: Invocation): FleetRole | undefined {
  const text = textOption(invocation, "role");
  const role = ROLES.find((each) => each === text);
  if (text === undefined || role !== undefined) return role;
  throw new Fault("invalid_input", `--role must be one of ${ROLES.join(", ")}, not ${JSON.stringify(text)}`, {
    hint: "central votes and may lead, regional is a full replica, edge keeps a cache.",
  });
}
