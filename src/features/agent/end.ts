// agent_leave and agent_remove: free the name of an agent, by its own caller or by an operator.

import { z } from "zod";
import { ALL_SPACES } from "../../access/space.ts";
import { Fault } from "../../lib/fault.ts";
import { AGENT_LEVEL } from "../../log/level.ts";
import type { Effect } from "../../log/log.ts";
import { write } from "../../operation/define.ts";
import type { Writer } from "../../store/store.ts";
import { type AgentRecord, agentChange, agentName, agentNamed } from "./rows.ts";

const NEXT = "Whoever registers the name next is sent what is addressed to it.";
const input = z.object({ name: agentName.describe("In whatever case.") });
const output = z.object({ agent: z.string(), caller: z.string() });

/** What both have in common. */
const common = {
  v: 1,
  level: AGENT_LEVEL,
  input,
  example: { name: "builder" },
  output,
  hints: { destructive: true },
  aliases: { agent: "name", agent_name: "name" },
  prepare: ({ name }: { name: string }) => ({ name }),
} as const;

/** Ends an agent of the caller. */
export const agentLeave = write({
  ...common,
  name: "agent_leave",
  title: "Give back a name",
  search: "sign off, unregister yourself, end your agent, free a name",
  description: `Ends an agent of your caller: its handle ends, and its name is free. ${NEXT} What it wrote keeps its name.`,
  access: { verb: "write", spaces: "visible" },
  apply(tx, { name }, { caller }) {
    const row = agentNamed(tx, name);
    if (row === undefined || row.caller !== caller)
      throw noAgent(name, `Your caller has no agent ${JSON.stringify(name)}`);
    return ended(tx, row, "left");
  },
});

/** Ends any agent. */
export const agentRemove = write({
  ...common,
  name: "agent_remove",
  title: "Remove an agent",
  search: "unregister another agent, free an unused name, end a handle",
  description: `Ends an agent of any caller: its handle ends, and its name is free. ${NEXT} What it wrote keeps its name.`,
  // Names are of no space, so this is for operators of all.
  access: { verb: "operate", spaces: () => [ALL_SPACES] },
  apply(tx, { name }) {
    const row = agentNamed(tx, name);
    if (row === undefined) throw noAgent(name, `There is no agent ${JSON.stringify(name)}`);
    return ended(tx, row, "removed");
  },
});

function ended(tx: Writer, row: AgentRecord, outcome: string): Effect<z.output<typeof output>> {
  tx.run("DELETE FROM agents WHERE folded = ?", row.folded);
  return { output: { agent: row.name, caller: row.caller }, changes: [agentChange(row, outcome)] };
}

function noAgent(name: string, message: string): Fault {
  return new Fault("not_found", message, { hint: "agent_list shows all.", details: { agent: name } });
}
