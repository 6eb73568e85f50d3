// agent_register: gives a name to an agent of the caller, and the handle that proves it. Again with takeover, it ends
// the handle before.

import { z } from "zod";
import { AGENT_KEY, foldedAgentName } from "../../lib/agent-key.ts";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { AGENT_LEVEL } from "../../log/level.ts";
import type { Stamp } from "../../log/log.ts";
import { write } from "../../operation/define.ts";
import type { Reader, Writer } from "../../store/store.ts";
import { type AgentRecord, agentChange, agentName, agentNamed, writeAgent } from "./rows.ts";

/** Most agents of one caller, and of all. */
export const MAX_OF_CALLER = 256;
export const MAX_AGENTS = 10_000;

const registered = z.object({
  agent: z.string().describe("The name, as it was first registered."),
  type: z.string(),
  handle: z
    .string()
    .optional()
    .describe("A secret: give it as `as` with each call of this agent. It is in this answer alone."),
  note: z.string().optional().describe("Why there is no handle, and what to do."),
  handle_hash: z.string().optional().describe("Only in the answer to another node."),
});

interface RegisterCommand {
  name: string;
  /** Undefined: that of before. */
  type?: string;
  takeover: boolean;
  key: string;
}

/** Registers an agent. */
export const agentRegister = write({
  name: "agent_register",
  v: 1,
  level: AGENT_LEVEL,
  title: "Register an agent",
  search: "name yourself, sign in as an agent, get a handle, take over a name",
  description:
    "Gives you a name below your verified caller, so that others see which of its agents wrote what. Returns a handle, a secret: give it as `as` with every call (header Cairn-Agent over REST; an MCP session of an older revision keeps it). A name of another caller is refused. A name of your own that exists already needs takeover: true, which ends its old handle: use it when you have lost the handle.",
  input: z.object({
    name: agentName.describe("Unique in the fleet, whatever its case."),
    type: agentName
      .optional()
      .describe(
        "What kind of agent, such as reviewer. Others see it; it counts for rights only where a grant lists it.",
      ),
    takeover: z.boolean().optional().describe("Take over a name of this caller; its old handle ends."),
    handle_hash: z
      .string()
      .regex(AGENT_KEY, "a SHA-256 as 64 hex digits")
      .optional()
      .describe("Leave it out. A program that draws its own handle gives the SHA-256 of that."),
  }),
  example: { name: "builder", type: "coder" },
  samples: { handle_hash: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
  output: registered,
  access: { verb: "write", spaces: "visible" },
  aliases: { agent: "name", agent_name: "name", agent_type: "type" },
  reveals: {
    argument: "handle_hash",
    output: "handle",
    lost: "The handle was in the answer to the first attempt of this call alone. To get a new one, call agent_register with takeover: true and another idempotency key.",
  },
  prepare: ({ name, type, takeover, handle_hash }): RegisterCommand => ({
    name,
    ...(type === undefined ? {} : { type }),
    takeover: takeover === true,
    // invoke has put it in, where the caller did not.
    key: handle_hash ?? "",
  }),
  apply(tx, command, stamp) {
    const before = agentNamed(tx, command.name);
    if (before === undefined) refuseBeyondBounds(tx, stamp.caller);
    else refuseTaken(before, command, stamp);
    refuseUsedKey(tx, command.key, before);
    const row: AgentRecord = {
      folded: foldedAgentName(command.name),
      name: before?.name ?? command.name,
      type: command.type ?? before?.type ?? "",
      caller: stamp.caller,
      key: command.key,
      via: stamp.via,
      registered_at: before?.registered_at ?? stamp.timeMs,
      seen_at: stamp.timeMs,
      doing: before?.doing ?? "",
      doing_until: before?.doing_until ?? 0,
    };
    writeAgent(tx, row);
    return {
      output: { agent: row.name, type: row.type, handle_hash: row.key },
      changes: [agentChange(row, before === undefined ? "registered" : "taken over")],
    };
  },
});

/** Throws `agent_taken` where a name exists that this command may not take over. */
function refuseTaken(before: AgentRecord, { takeover }: RegisterCommand, { caller }: Stamp): void {
  const name = JSON.stringify(before.name);
  // Of a call with its handle it is of that caller by now, whose name may have changed with the fleet (rows.ts, saw).
  if (before.caller !== caller) {
    throw new Fault("agent_taken", `The name ${name} belongs to an agent of ${before.caller}`, {
      hint: "Take another name. An operator frees a name with agent_remove.",
    });
  }
  if (takeover) return;
  throw new Fault("agent_taken", `Your caller has an agent ${name} already`, {
    hint: "To be that agent, call agent_register with takeover: true, which ends its old handle. Or take another name.",
  });
}

function refuseBeyondBounds(reader: Reader, caller: string): void {
  const count = (sql: string, ...values: string[]) => reader.get<{ n: number }>(sql, ...values)?.n ?? 0;
  const own = count("SELECT COUNT(*) AS n FROM agents WHERE caller = ?", caller);
  if (own >= MAX_OF_CALLER) {
    throw new Fault("quota_exceeded", `${caller} has ${counted(own, "agent")}; ${MAX_OF_CALLER} is the limit`, {
      hint: "Take over a name that is no longer used, or free one with agent_leave; agent_list shows them.",
    });
  }
  const all = count("SELECT COUNT(*) AS n FROM agents");
  if (all < MAX_AGENTS) return;
  throw new Fault("quota_exceeded", `The fleet has ${counted(all, "agent")}; ${MAX_AGENTS} is the limit`, {
    hint: "Take over a name of yours, or ask an operator to free unused ones with agent_remove.",
  });
}

function refuseUsedKey(tx: Writer, key: string, before: AgentRecord | undefined): void {
  const other = tx.get<{ folded: string }>("SELECT folded FROM agents WHERE key = ?", key);
  if (other === undefined || other.folded === before?.folded) return;
  throw new Fault("invalid_input", "This handle_hash is in use", {
    hint: "Draw another handle, or leave handle_hash out.",
    details: { field: "handle_hash" },
  });
}
