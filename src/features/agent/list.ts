// agent_list: the roster of the fleet's agents.

import { z } from "zod";
import { foldedAgentName } from "../../lib/agent-key.ts";
import { MAX_CALLER_NAME } from "../../lib/caller-name.ts";
import { timeOf } from "../../lib/time-of.ts";
import { AGENT_LEVEL } from "../../log/level.ts";
import { read } from "../../operation/define.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import { type AgentRecord, agentName } from "./rows.ts";

const MAX_PAGE = 500;

/** Lists agents by name. */
export const agentList = read({
  name: "agent_list",
  title: "List agents",
  search: "roster, who is here, who works on what, other agents, presence",
  description:
    "Lists the agents of the fleet by name: of which verified caller each is, of which type it says it is, when it last wrote, and what it says it works on. Names and texts are what agents say of themselves.",
  input: z.object({
    caller: z
      .string()
      .min(1)
      .max(MAX_CALLER_NAME)
      .optional()
      .describe("Only agents of this caller, as whoami writes it."),
    limit: z.number().int().min(1).max(MAX_PAGE).optional().describe("At most this many (default 100)."),
    cursor: agentName.optional().describe("The cursor of the previous page."),
  }),
  example: { limit: 20 },
  samples: { caller: "user:ann@example.com", cursor: "builder" },
  output: z.object({
    agents: z.array(
      z.object({
        name: z.string(),
        type: z.string().describe("Empty where it said none."),
        caller: z.string().describe("Its caller, as the tailnet proves it."),
        via: z.string().describe("The member that forwarded its last write, or empty."),
        registered_at: z.string(),
        seen_at: z.string().describe("When it last wrote, to the minute."),
        doing: z.string().optional().describe("What it says it works on; absent where it said nothing, or no longer."),
        doing_until: z.string().optional(),
      }),
    ),
    cursor: z.string().optional().describe("Pass it back for the next page; absent on the last."),
  }),
  access: { verb: "read", spaces: "visible" },
  run(reader, { caller, limit = 100, cursor }) {
    refuseBelowLevel(reader, AGENT_LEVEL, "agent_list");
    const [only, values] = caller === undefined ? ["", []] : ["AND caller = ? ", [caller]];
    const rows = reader.all<AgentRecord>(
      `SELECT * FROM agents WHERE folded > ? ${only}ORDER BY folded LIMIT +?`,
      cursor === undefined ? "" : foldedAgentName(cursor),
      ...values,
      limit + 1,
    );
    const nowMs = reader.get<{ log_time: number }>("SELECT log_time FROM head")?.log_time ?? 0;
    const page = rows.slice(0, limit);
    const last = rows.length > limit ? page.at(-1) : undefined;
    return {
      agents: page.map((row) => ({
        name: row.name,
        type: row.type,
        caller: row.caller,
        via: row.via,
        registered_at: timeOf(row.registered_at),
        seen_at: timeOf(row.seen_at),
        ...(row.doing === "" || row.doing_until <= nowMs
          ? {}
          : { doing: row.doing, doing_until: timeOf(row.doing_until) }),
      })),
      ...(last === undefined ? {} : { cursor: last.name }),
    };
  },
});
