// agent_status: what an agent says it works on, for a time.

import { z } from "zod";
import { oneLine } from "../../lib/client-claim.ts";
import { Fault } from "../../lib/fault.ts";
import { timeOf } from "../../lib/time-of.ts";
import { AGENT_LEVEL } from "../../log/level.ts";
import { write } from "../../operation/define.ts";
import { agentChange, agentNamed, writeAgent } from "./rows.ts";

/** Most characters of what an agent says that it works on. */
export const MAX_DOING = 200;
const DEFAULT_SECONDS = 3600;

/** Says what the agent of the call works on. */
export const agentStatus = write({
  name: "agent_status",
  v: 1,
  level: AGENT_LEVEL,
  title: "Say what you work on",
  search: "announce work, report progress, presence, who does what",
  description:
    "Says on the roster (agent_list) what you, the agent of this call, work on now. It disappears after expires_in_seconds; say it again while you work.",
  input: z.object({
    doing: z.string().max(MAX_DOING).describe("What you work on, on one line; empty: nothing."),
    expires_in_seconds: z
      .number()
      .int()
      .min(60)
      .max(7 * 86_400)
      .optional()
      .describe(`For how long it is shown (default ${DEFAULT_SECONDS}).`),
  }),
  example: { doing: "reviewing the parser" },
  output: z.object({ agent: z.string(), doing: z.string(), until: z.string() }),
  access: { verb: "write", spaces: "visible" },
  hints: { idempotent: true },
  aliases: { status: "doing", task: "doing" },
  prepare: ({ doing, expires_in_seconds: seconds = DEFAULT_SECONDS }) => ({
    doing: oneLine(doing, MAX_DOING),
    forMs: seconds * 1000,
  }),
  apply(tx, { doing, forMs }, { agent, timeMs }) {
    const row = agent === undefined ? undefined : agentNamed(tx, agent);
    if (row === undefined) {
      throw new Fault("agent_unknown", "agent_status is about an agent, and this call acts as none", {
        hint: "Name your agent with `as` (header Cairn-Agent over REST), by the handle that agent_register returned.",
      });
    }
    const until = timeMs + forMs;
    const now = { ...row, doing, doing_until: until };
    writeAgent(tx, now);
    return {
      output: { agent: row.name, doing, until: timeOf(until) },
      changes: [agentChange(now, "status")],
    };
  },
});
