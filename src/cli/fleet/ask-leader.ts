// What the fleet commands share: finding a member by its name, and telling the user on which node a command has to be
// run where only the leader accepts it.

import type { FleetRole } from "../../fleet/index.ts";
import { ROLES } from "../../fleet/index.ts";
import { Fault } from "../../lib/fault.ts";
import { askNode, type NodeAnswer } from "../client.ts";
import { type Invocation, textOption } from "../command.ts";

/** A device in an answer of fleet_members: a member, or a device that asks to join. */
export interface ListedDevice {
  node: string;
  name: string;
  server?: string;
  role: string;
}

/** The answer of fleet_members. */
export interface MembersAnswer {
  fleet: { name: string; id: string; profile: string };
  members: (ListedDevice & { state: string; spaces: string[]; level: number; version: string; joined_at: string })[];
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
    if (!(error instanceof Fault) || name === undefined) throw error;
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

/** Returns the device with this id or name, or a unique prefix of either. Faults `not_found`, `invalid_input`. */
export function findByName(word: string, list: readonly ListedDevice[], what: string): ListedDevice {
  const exact = list.filter(({ node, name }) => node === word || name === word);
  const found =
    exact.length > 0 ? exact : list.filter(({ node, name }) => node.startsWith(word) || name.startsWith(word));
  const [first] = found;
  if (first !== undefined && found.length === 1) return first;
  const names = list.map(({ node, name }) => `${name} (${node})`).join(", ");
  if (first === undefined) {
    throw new Fault("not_found", `No ${what} is called ${JSON.stringify(word)}`, {
      hint: list.length === 0 ? "cairn members lists all of them." : `There are: ${names}.`,
    });
  }
  throw new Fault("invalid_input", `${found.length} of them are called ${JSON.stringify(word)}`, {
    hint: `Name it by its id: ${found.map(({ node }) => node).join(", ")}.`,
  });
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
