// Agents (features.md 2): a name below the verified caller, held by a secret handle of which only the key, its SHA-256,
// comes this far. Here is whether a call still is the agent that it says; the table belongs to a feature.

import { Fault } from "../lib/fault.ts";
import type { CommandAgent, Stamp } from "../log/log.ts";
import type { Reader, Writer } from "../store/store.ts";

/** The agent as which a caller acts. */
export interface ActingAgent {
  name: string;
  /** What it says it is, or "". */
  type: string;
}

/** What the table of agents says of a key. */
export interface AgentRow extends ActingAgent {
  /** The caller to whom it belongs, as commands name it. */
  caller: string;
}

/** The table of agents. Its rows are those of the state that is read. */
export interface AgentTable {
  byKey(reader: Reader, key: string): AgentRow | undefined;
  /** In apply: notes that an agent writes now, at most once a minute of log time. */
  saw(tx: Writer, name: string, stamp: Stamp): void;
}

/** Returns the agent of a key, where it belongs to the caller of that name. */
export function agentOf(
  agents: AgentTable | undefined,
  reader: Reader,
  key: string,
  caller: string,
): AgentRow | undefined {
  const row = agents?.byKey(reader, key);
  return row !== undefined && isSameCaller(row.caller, caller) ? row : undefined;
}

/**
 * In apply, before a command does anything: throws Fault `agent_unknown` where its agent was taken over or removed
 * since the command was proposed.
 */
export function refuseEndedAgent(
  agents: AgentTable | undefined,
  tx: Writer,
  { name, key }: CommandAgent,
  stamp: Stamp,
): void {
  if (agents === undefined) throw new Error("the log holds a command of an agent, and this build has no agents");
  if (agentOf(agents, tx, key, stamp.caller)?.name !== name) throw agentUnknown();
  agents.saw(tx, name, stamp);
}

/**
 * Reports whether two names may be of one caller. A local caller has no machine in its name while its node is the only
 * one, so a name without a machine is taken for that of any: the handle, which a caller shows too, is what proves it.
 */
export function isSameCaller(one: string, other: string): boolean {
  if (one === other) return true;
  const [oneId, oneMachine] = one.split("@", 2);
  const [otherId, otherMachine] = other.split("@", 2);
  const isLocal = oneId === "local" || oneId?.startsWith("local:") === true;
  return isLocal && oneId === otherId && (oneMachine === undefined || otherMachine === undefined);
}

/** The refusal of a call that shows the handle of no agent of its caller. */
export function agentUnknown(): Fault {
  return new Fault("agent_unknown", "The handle of this call is that of no agent of its caller", {
    hint:
      "It was ended by a takeover or a removal, or belongs to another caller. Call agent_register again, with " +
      "takeover: true if the name is yours, or leave the handle out to act as the caller itself.",
  });
}
