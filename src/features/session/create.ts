// session_create: begins a session in a space.

import { z } from "zod";
import { timeOf } from "../../lib/time-of.ts";
import { WRITE_ROW } from "../../lib/work.ts";
import type { Changed } from "../../log/log.ts";
import { stateHash } from "../../log/state-hash.ts";
import { write } from "../../operation/define.ts";
import { metadataText } from "../../operation/metadata.ts";
import { type Quota, ROW_BYTES, UsageDelta } from "../../operation/usage.ts";
import { askedPart, MAX_PURPOSE, metadata, stampedQuota } from "./arguments.ts";
import { newSessionId, spaceArgument } from "./ids.ts";
import { noteMember } from "./members.ts";
import { SESSION_LEVEL, type SessionRow } from "./rows.ts";

interface CreateCommand {
  space: string;
  purpose: string;
  metadata: string;
  quota: Quota;
}

/** Begins a session. */
export const sessionCreate = write({
  name: "session_create",
  v: 1,
  level: SESSION_LEVEL,
  title: "Begin a session",
  search: "conversation, chat room, channel, meeting, start collaborating with other agents",
  description:
    "Begins a session: a place where agents and people write messages to each other about one purpose. Whoever may read its space sees it. Returns its id.",
  input: z.object({
    purpose: z.string().min(1).max(MAX_PURPOSE).describe("What it is for, in a sentence."),
    space: spaceArgument.optional().describe("The space it belongs to (default: default)."),
    metadata: metadata.optional(),
  }),
  example: { purpose: "Release 1.0 of the parser", space: "team-a" },
  samples: { metadata: { build: 7 } },
  output: z.object({
    session: z.string(),
    space: z.string(),
    author: z.string(),
    created_at: z.string(),
  }),
  access: { verb: "write", spaces: ({ space }) => [space ?? "default"] },
  aliases: { title: "purpose", topic: "purpose", name: "purpose" },
  work: () => 2 * WRITE_ROW,
  prepare: ({ purpose, space = "default", metadata: given }, limits): CreateCommand => ({
    space,
    purpose,
    metadata: metadataText(given ?? {}),
    quota: stampedQuota(limits),
  }),
  asked: askedPart,
  apply(tx, { space, purpose, metadata, quota }, stamp) {
    const row: SessionRow = {
      ...{ id: newSessionId(tx, space, stamp.seq), space, purpose, metadata },
      ...{ caller: stamp.caller, agent: stamp.agent ?? "", seq: stamp.seq, created_at: stamp.timeMs },
      ...{ state: "open", state_caller: "", state_agent: "", state_at: 0 },
      ...{ public_count: 0, public_at: 0, hidden_count: 0, active_seq: stamp.seq },
    };
    const usage = new UsageDelta(space);
    usage.add(stamp.caller, costOfSession(row));
    tx.run(INSERT, ...COLUMNS.map((column) => row[column]));
    noteMember(tx, row.id, stamp, "joined");
    usage.write(tx, quota);
    return {
      output: {
        session: row.id,
        space,
        author: stamp.caller,
        created_at: timeOf(stamp.timeMs),
      },
      changes: [sessionChange(row, "created")],
    };
  },
});

// The order of these columns is part of the statement, and so of the log's format.
const COLUMNS = [
  "id",
  "space",
  "purpose",
  "metadata",
  "caller",
  "agent",
  "seq",
  "created_at",
  "state",
  "state_caller",
  "state_agent",
  "state_at",
  "public_count",
  "public_at",
  "hidden_count",
  "active_seq",
] as const;
const INSERT = `INSERT INTO sessions (${COLUMNS.join(", ")}) VALUES (${COLUMNS.map(() => "?").join(",")})`;

/** Returns the bytes that a session counts for. */
export function costOfSession({ purpose, metadata }: Pick<SessionRow, "purpose" | "metadata">): number {
  return ROW_BYTES + Buffer.byteLength(purpose) + Buffer.byteLength(metadata);
}

/** Returns the change of a session itself. */
export function sessionChange({ id, purpose, metadata, state }: SessionRow, outcome: string): Changed {
  return { target: id, version: 0, contentHash: "", outcome, state: stateHash([purpose, metadata, state]) };
}
