// message_retract and message_purge: remove the text of messages. What stays is that they were there: author, time,
// thread, to whom they were addressed, and the hashes of the audit.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { MAX_COMMAND_WORK, REMOVE_BYTE, WRITE_ROW } from "../../lib/work.ts";
import type { Changed } from "../../log/log.ts";
import { type ApplyStamp, write } from "../../operation/define.ts";
import { readingOf } from "../../operation/reading.ts";
import { NO_QUOTA, UsageDelta } from "../../operation/usage.ts";
import type { Reader, Writer } from "../../store/store.ts";
import { MAX_NAMED } from "./arguments.ts";
import { costOfSession, sessionChange } from "./create.ts";
import { ownMessage } from "./edit.ts";
import { messageAliases, messageId, sessionAliases, sessionId } from "./ids.ts";
import { type MessageRow, messageRow, noMessage, SESSION_LEVEL, type SessionRow, sessionOf } from "./rows.ts";
import { messageChange, nameInInboxes, noteChange } from "./write-message.ts";

const EXAMPLE = { session: "team-a/session_0123456789abcdef" };

const ERASURE = z.literal("pending").describe("The bytes are still on disks; node_status says when they are gone.");

/** Weight in bytes of a command that may touch many texts: few of them share an entry. */
const REMOVAL_WEIGHT = 256 * 1024;

/** Removes the text of an own message. */
export const messageRetract = write({
  name: "message_retract",
  v: 1,
  level: SESSION_LEVEL,
  maxWork: MAX_COMMAND_WORK,
  title: "Retract a message",
  search: "take back a message, delete what I said, remove from a chat",
  description:
    "Removes the text and metadata of a message of yours, all versions of it: no one can read them any more. That it was there stays visible. For a secret ask an operator for message_purge: until then the bytes may remain in files of the members.",
  input: z.object({ session: sessionId, message: messageId }),
  example: { ...EXAMPLE, message: "m_0123456789ab" },
  output: z.object({ session: z.string(), message: z.string(), retracted: z.boolean() }),
  access: { verb: "write", spaces: ({ session }) => [spaceOf(session)] },
  hints: { idempotent: true, destructive: true },
  aliases: messageAliases,
  target: "session",
  weight: () => REMOVAL_WEIGHT,
  prepare: ({ session, message }, _limits, proposer) => ({
    session,
    message,
    reading: readingOf(proposer, spaceOf(session)),
  }),
  apply(tx, { session, message, reading }, stamp) {
    const { space } = sessionOf(tx, session);
    const row = ownMessage(tx, { session, message, reading }, stamp);
    if (row.removed !== "") return { output: { session, message, retracted: false }, changes: [] };
    const usage = new UsageDelta(space);
    const changed = removeText(tx, row, "retracted", { ...stamp, usage });
    usage.write(tx, NO_QUOTA);
    return { output: { session, message, retracted: true }, changes: [changed] };
  },
});

interface PurgeCommand {
  session: string;
  messages: string[];
}

/** Removes texts for good. */
export const messagePurge = write({
  name: "message_purge",
  v: 1,
  level: SESSION_LEVEL,
  maxWork: MAX_COMMAND_WORK,
  title: "Purge messages",
  search: "erase messages for good, remove a secret from a chat",
  description:
    "Permanently removes the text, kind and metadata of messages of anybody, retracted ones too, such as a secret that was written by mistake. Hashes, authors, times and addressees stay for the audit. The bytes leave the disks of all members soon after: node_status says where they are until then.",
  input: z.object({
    session: sessionId,
    messages: z.array(messageId).min(1).max(MAX_NAMED).describe("Ids of the messages."),
  }),
  example: { ...EXAMPLE, messages: ["m_0123456789ab"] },
  output: z.object({
    session: z.string(),
    purged: z.number().int().describe("How many texts were removed."),
    erasure: ERASURE,
  }),
  access: { verb: "operate", spaces: ({ session }) => [spaceOf(session)] },
  hints: { idempotent: true, destructive: true },
  aliases: { ...sessionAliases, message: "messages", message_id: "messages" },
  target: "session",
  weight: () => REMOVAL_WEIGHT,
  prepare: ({ session, messages }): PurgeCommand => ({ session, messages: [...new Set(messages)] }),
  apply(tx, { session, messages }, stamp) {
    const usage = new UsageDelta(sessionOf(tx, session).space);
    const changes: Changed[] = [];
    for (const id of messages) {
      const row = messageRow(tx, session, id);
      if (row === undefined) throw noMessage(session, id);
      if (row.removed === "purged") continue;
      changes.push(removeText(tx, row, "purged", { ...stamp, seq: stamp.seq + changes.length, usage }));
    }
    usage.write(tx, NO_QUOTA);
    return {
      output: { session, purged: changes.length, erasure: "pending" as const },
      changes,
      ...(changes.length === 0 ? {} : { purges: true as const }),
    };
  },
});

/** Removes for good what is said of a session itself. */
export const sessionPurge = write({
  name: "session_purge",
  v: 1,
  level: SESSION_LEVEL,
  title: "Purge the purpose of a session",
  search: "erase what a session is about, remove a secret from its purpose",
  description:
    "Permanently removes the purpose and metadata of a session, as message_purge removes the texts in it. The session and its messages stay.",
  input: z.object({ session: sessionId }),
  example: EXAMPLE,
  output: z.object({ session: z.string(), erasure: ERASURE }),
  access: { verb: "operate", spaces: ({ session }) => [spaceOf(session)] },
  hints: { idempotent: true, destructive: true },
  aliases: sessionAliases,
  target: "session",
  prepare: ({ session }) => ({ session }),
  apply(tx, { session }) {
    const row = sessionOf(tx, session);
    const bare: SessionRow = { ...row, purpose: "", metadata: "" };
    const usage = new UsageDelta(row.space);
    usage.add(row.caller, costOfSession(bare) - costOfSession(row));
    tx.run("UPDATE sessions SET purpose = '', metadata = '' WHERE id = ?", session);
    usage.write(tx, NO_QUOTA);
    return {
      output: { session, erasure: "pending" as const },
      changes: [sessionChange(bare, "purged")],
      purges: true,
    };
  },
});

/** Removes all texts of a message, with what was made of them. Returns the change. */
function removeText(
  tx: Writer,
  row: MessageRow,
  removed: "retracted" | "purged",
  { usage, ...stamp }: ApplyStamp & { usage: UsageDelta },
): Changed {
  const { versions, bytes } = textsOf(tx, row.seq);
  stamp.work.spend(WRITE_ROW * (2 + versions) + REMOVE_BYTE * bytes);
  tx.run("UPDATE message_versions SET text = '', metadata = '' WHERE message = ?", row.seq);
  const bare: MessageRow = { ...row, mentions: "", kind: removed === "purged" ? "" : row.kind, removed };
  tx.run("UPDATE messages SET mentions = '', kind = ?, removed = ? WHERE seq = ?", bare.kind, removed, row.seq);
  nameInInboxes(tx, bare, stamp.seq);
  noteChange(tx, row, removed, stamp);
  usage.add(row.caller, -bytes - Buffer.byteLength(row.mentions));
  return messageChange(bare, "", "", removed);
}

function textsOf(reader: Reader, message: number): { versions: number; bytes: number } {
  const found = reader.get<{ versions: number; bytes: number }>(
    "SELECT COUNT(*) AS versions, SUM(length(CAST(text AS BLOB)) + length(CAST(metadata AS BLOB))) AS bytes FROM message_versions WHERE message = ?",
    message,
  );
  return found ?? { versions: 0, bytes: 0 };
}
