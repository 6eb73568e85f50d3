// The rows of agents, and what they say to those who judge calls (operation/agents.ts).

import { z } from "zod";
import { AGENT_NAME, foldedAgentName } from "../../lib/agent-key.ts";
import type { Changed, Stamp } from "../../log/log.ts";
import { stateHash } from "../../log/state-hash.ts";
import type { AgentTable } from "../../operation/agents.ts";
import type { Reader, Writer } from "../../store/store.ts";

/** A row of `agents`; times are in ms of log time. */
export interface AgentRecord {
  folded: string;
  name: string;
  type: string;
  caller: string;
  key: string;
  via: string;
  registered_at: number;
  seen_at: number;
  doing: string;
  doing_until: number;
}

/** How exact `seen_at` is, in ms: a write within this time of the one before changes no row. */
const SEEN_MS = 60_000;

/** Schema of a name that a caller gives. */
export const agentName = z
  .string()
  .regex(AGENT_NAME, "a name: 1 to 64 letters, digits, dots, underscores or hyphens, the first a letter or digit");

/** Returns the agent of a name, in whatever case. */
export function agentNamed(reader: Reader, name: string): AgentRecord | undefined {
  return reader.get<AgentRecord>("SELECT * FROM agents WHERE folded = ?", foldedAgentName(name));
}

/** Writes a row in place of the one before. */
export function writeAgent(tx: Writer, row: AgentRecord): void {
  tx.run(
    "INSERT OR REPLACE INTO agents (folded, name, type, caller, key, via, registered_at, seen_at, doing, doing_until) " +
      "VALUES (?,?,?,?,?,?,?,?,?,?)",
    row.folded,
    row.name,
    row.type,
    row.caller,
    row.key,
    row.via,
    row.registered_at,
    row.seen_at,
    row.doing,
    row.doing_until,
  );
}

/** Returns the change of an agent. Its target is in the space `fleet`, as names belong to no other. */
export function agentChange({ name, type, caller, key }: AgentRecord, outcome: string): Changed {
  const state = stateHash([name, type, caller, key]);
  return { target: `fleet/agents/${name}`, version: 0, contentHash: "", outcome, state };
}

/** The table, for those who judge calls. */
export const agentTable: AgentTable = {
  byKey: (reader, key) => reader.get<AgentRecord>("SELECT name, type, caller FROM agents WHERE key = ?", key),
  saw(tx, name, { timeMs, caller, via }: Stamp) {
    tx.run(
      "UPDATE agents SET seen_at = ?, via = ?, caller = ? WHERE folded = ? AND (seen_at <= ? OR via <> ? OR caller <> ?)",
      timeMs,
      via,
      caller,
      foldedAgentName(name),
      timeMs - SEEN_MS,
      via,
      caller,
    );
  },
};
