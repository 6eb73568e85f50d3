// Compares the rows of agents with their newest changes, for audit_verify.

import { foldedAgentName } from "../../lib/agent-key.ts";
import { SHOW_ROW } from "../../lib/work.ts";
import { type ChangeRow, madeOther } from "../../log/change-row.ts";
import { AGENT_LEVEL, levelOf } from "../../log/level.ts";
import type { RowsCheck } from "../../operation/feature.ts";
import { type AgentRecord, agentChange } from "./rows.ts";

const TARGET = "fleet/agents/";
const ENDINGS: ReadonlySet<string> = new Set(["left", "removed"]);

/** Returns the first agent that is not as its newest change made it, one that none made, or one that is missing. */
export const agentProblem: RowsCheck = (reader, latest, { spend }) => {
  if (levelOf(reader) < AGENT_LEVEL) return undefined;
  const newest = new Map<string, ChangeRow>();
  for (const [target, change] of latest.fleet) {
    if (!target.startsWith(TARGET)) continue;
    const folded = foldedAgentName(target.slice(TARGET.length));
    if ((newest.get(folded)?.seq ?? 0) < change.seq) newest.set(folded, change);
  }
  const rows = reader.all<AgentRecord>("SELECT * FROM agents ORDER BY folded");
  spend(SHOW_ROW * rows.length);
  for (const row of rows) {
    const change = newest.get(row.folded);
    newest.delete(row.folded);
    if (change === undefined) {
      if (latest.floor === 0) return `the agent ${row.name} was registered by no change`;
    } else if (ENDINGS.has(change.outcome))
      return `the agent ${row.name} is there, although change ${change.seq} ended it`;
    else if (isOther(change, row)) return `the agent ${row.name} is not as change ${change.seq} made it`;
  }
  for (const { outcome, seq } of newest.values())
    if (!ENDINGS.has(outcome)) return `the agent of change ${seq} is missing`;
  return undefined;
};

/**
 * Reports whether a row is not as its change made it. The change was made by the caller of the row; the name of a local
 * one gets and loses its machine with the fleet, without a change of its agents.
 */
function isOther(change: ChangeRow, row: AgentRecord): boolean {
  if (withoutMachine(row.caller) !== withoutMachine(change.caller)) return true;
  return madeOther(change, agentChange({ ...row, caller: change.caller }, "").state ?? "");
}

function withoutMachine(caller: string): string {
  return caller.replace(/^(local(?::[a-z]+)?)@.*$/, "$1");
}
