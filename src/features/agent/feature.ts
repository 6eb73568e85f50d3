// The manifest of agents: names below verified callers (features.md 2).

import { AGENT_LEVEL } from "../../log/level.ts";
import type { Feature } from "../../operation/feature.ts";
import { agentCommands } from "./commands.ts";
import { agentLeave, agentRemove } from "./end.ts";
import { agentList } from "./list.ts";
import { agentsPage } from "./pages/agents-page.tsx";
import { workingSection } from "./pages/working.tsx";
import { agentRegister } from "./register.ts";
import { agentTable } from "./rows.ts";
import schema from "./schema.sql" with { type: "text" };
import { agentStatus } from "./status.ts";
import { agentProblem } from "./verify.ts";

/** The manifest. */
export const agentFeature: Feature = {
  name: "agent",
  migrations: [{ id: 11, level: AGENT_LEVEL, sql: schema }],
  tables: [{ name: "agents", scope: "replicated", fork: "keep", sql: "SELECT * FROM agents ORDER BY folded" }],
  operations: () => [agentRegister, agentStatus, agentList, agentLeave, agentRemove],
  commands: agentCommands,
  pages: [agentsPage],
  sections: [workingSection],
  instructions: { tools: [{ operation: agentRegister.name, verb: "write", use: "a name of your own" }] },
  events: {
    "cairn.agent.changed": {
      when: "an agent was registered, taken over, or ended",
      subject: "the agent, as fleet/agents/NAME",
      operations: [agentRegister.name, agentLeave.name, agentRemove.name],
    },
  },
  agents: agentTable,
  verify: agentProblem,
};
