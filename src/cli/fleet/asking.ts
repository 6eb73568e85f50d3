// What the commands of a fleet share: naming a member by what people call it, and saying on which node to type what only the leader does.

import type { FleetRole } from "../../fleet/index.ts";
import { ROLES } from "../../fleet/index.ts";
import { Fault } from "../../lib/fault.ts";
import { askNode, type NodeAnswer } from "../client.ts";
import { type Invocation, textOption } from "../command.ts";

/** A device as fleet_members lists it, a member or one that waits. */
export interface Named {
  node: string;
  name: string;
  server?: string;
  role: string;
}

/** What fleet_members answers. */
export interface MembersAnswer {
  fleet: { name: string; id: string; profile: string };
  members: (Named & { state: string; spaces: string[]; level: number; version: string; joined_at: string })[];
  pending: (Named & { caller: string; version: string; since: string })[];
  approvals: { node: string; role: string; expires_at: string }[];
  tickets: number;
}

/** Asks for something that only the leader does; where another node leads, its refusal says what to type there. `words` is the command as typed. */
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
    throw error.retold(`${name} leads this fleet, and what an admin does is done there`, {
      code: "not_leader",
      hint: `Type on ${name}: cairn ${words}`,
    });
  }
}

export async function askMembers(invocation: Invocation): Promise<MembersAnswer> {
  // The node's own answer, which its output schema checked.
  return (await askNode(invocation, "fleet_members", {})).body as unknown as MembersAnswer;
}

/** The one device that a word names: its id, its name, or the begin of either. Faults `not_found`, `invalid_input`. */
export function oneOf(word: string, list: readonly Named[], what: string): Named {
  const exact = list.filter(({ node, name }) => node === word || name === word);
  const found =
    exact.length > 0 ? exact : list.filter(({ node, name }) => node.startsWith(word) || name.startsWith(word));
  const [first] = found;
  if (first !== undefined && found.length === 1) return first;
  const names = list.map(({ node, name }) => `${name} (${node})`).join(", ");
  if (first === undefined) {
    throw new Fault("not_found", `No ${what} is called ${JSON.stringify(word)}`, {
      hint: list.length === 0 ? "cairn members shows who is there." : `There are: ${names}.`,
    });
  }
  throw new Fault("invalid_input", `${found.length} of them are called ${JSON.stringify(word)}`, {
    hint: `Name it by its id: ${found.map(({ node }) => node).join(", ")}.`,
  });
}

/** The role of `--role`; undefined when it is not given. Fault `invalid_input` for another word. */
export function roleOption(invocation: Invocation): FleetRole | undefined {
  const text = textOption(invocation, "role");
  const role = ROLES.find((each) => each === text);
  if (text === undefined || role !== undefined) return role;
  throw new Fault("invalid_input", `--role should be one of ${ROLES.join(", ")}, and is ${JSON.stringify(text)}`, {
    hint: "central votes and may lead, regional is a full replica, edge keeps a cache.",
  });
}
