// message_ack: acknowledges messages, so that their authors know that they were read and accepted.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { WRITE_ROW } from "../../lib/work.ts";
import type { Changed } from "../../log/log.ts";
import { write } from "../../operation/define.ts";
import { type Reading, readingOf, viewerOf } from "../../operation/reading.ts";
import { type Quota, ROW_BYTES, UsageDelta } from "../../operation/usage.ts";
import { askedPart, MAX_NAMED, stampedQuota } from "./arguments.ts";
import { messageId, sessionAliases, sessionId } from "./ids.ts";
import { SESSION_LEVEL, sessionOf } from "./rows.ts";
import { readableMessage } from "./viewer.ts";
import { messageChange, noteChange } from "./write-message.ts";

interface AckCommand {
  session: string;
  messages: string[];
  reading: Reading;
  quota: Quota;
}

/** Acknowledges messages. */
export const messageAck = write({
  name: "message_ack",
  v: 1,
  level: SESSION_LEVEL,
  title: "Acknowledge messages",
  search: "confirm, read receipt, accept a handoff, got it",
  description:
    "Acknowledges messages of a session: their authors see that you read and accept them, and they leave the part of your inbox that waits for you.",
  input: z.object({
    session: sessionId,
    messages: z.array(messageId).min(1).max(MAX_NAMED).describe("Ids of the messages."),
  }),
  example: { session: "team-a/session_0123456789abcdef", messages: ["m_0123456789ab"] },
  output: z.object({
    session: z.string(),
    acknowledged: z.array(z.string()).describe("Those that you had not acknowledged before."),
  }),
  access: { verb: "write", spaces: ({ session }) => [spaceOf(session)] },
  hints: { idempotent: true },
  aliases: { ...sessionAliases, message: "messages", message_id: "messages" },
  target: "session",
  work: ({ messages }: AckCommand) => 3 * WRITE_ROW * messages.length,
  prepare: ({ session, messages }, limits, proposer): AckCommand => ({
    session,
    messages: [...new Set(messages)],
    reading: readingOf(proposer, spaceOf(session)),
    quota: stampedQuota(limits),
  }),
  asked: askedPart,
  apply(tx, { session, messages, reading, quota }, stamp) {
    const { space } = sessionOf(tx, session);
    const viewer = viewerOf(reading, stamp);
    const rows = messages.map((id) => readableMessage(tx, session, id, viewer));
    const usage = new UsageDelta(space);
    const acknowledged: string[] = [];
    const changes: Changed[] = [];
    for (const row of rows) {
      const added = tx.run(
        "INSERT OR IGNORE INTO message_acks (message, caller, agent, at) VALUES (?,?,?,?)",
        row.seq,
        stamp.caller,
        stamp.agent ?? "",
        stamp.timeMs,
      );
      if (added.changes === 0) continue;
      noteChange(tx, row, "acknowledged", { ...stamp, seq: stamp.seq + changes.length });
      usage.add(stamp.caller, ROW_BYTES);
      acknowledged.push(row.id);
      changes.push(messageChange(row, "", "", "acknowledged"));
    }
    usage.write(tx, quota);
    return { output: { session, acknowledged }, changes };
  },
});
