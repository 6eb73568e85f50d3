// message_edit: replaces the text of a message by a new version; earlier ones stay readable.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { MAX_DOCUMENT_INPUT_BYTES } from "../../lib/bounds.ts";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { timeOf } from "../../lib/time-of.ts";
import { WRITE_BYTE, WRITE_ROW } from "../../lib/work.ts";
import { type ApplyStamp, write } from "../../operation/define.ts";
import { metadataText } from "../../operation/metadata.ts";
import { type Reading, readingOf, viewerOf } from "../../operation/reading.ts";
import { addressee, framedNames, MAX_NAMES } from "../../operation/recipients.ts";
import { type Quota, UsageDelta } from "../../operation/usage.ts";
import type { Reader } from "../../store/store.ts";
import { askedPart, metadata, stampedQuota, storedText, type Text } from "./arguments.ts";
import { messageAliases, messageId, sessionId } from "./ids.ts";
import { mentionsIn } from "./names.ts";
import { refuseClosed } from "./post.ts";
import {
  type MessageRow,
  type MessageWithText,
  messageAt,
  messageRow,
  noMessage,
  SESSION_LEVEL,
  sessionOf,
} from "./rows.ts";
import { isAuthor } from "./viewer.ts";
import { costOfText, messageChange, nameInInboxes, noteChange, writeVersion } from "./write-message.ts";

/** Most versions of one message. */
export const MAX_VERSIONS = 1000;

interface EditCommand {
  session: string;
  message: string;
  text: Text;
  mentions: string;
  /** Null: unchanged. */
  metadata: string | null;
  /** 0: whichever it has. */
  if_version: number;
  reading: Reading;
  quota: Quota;
}

/** Edits a message. */
export const messageEdit = write({
  name: "message_edit",
  v: 1,
  level: SESSION_LEVEL,
  title: "Edit a message",
  search: "correct a message, change what I said, fix a typo in a chat",
  description:
    "Replaces the text of a message of yours. Earlier versions stay readable for those who may read the message. To whom it is addressed, and who may read it, cannot be changed.",
  input: z.object({
    session: sessionId,
    message: messageId,
    text: z.string().min(1).describe("The whole new text."),
    mentions: z.array(addressee).max(MAX_NAMES).optional().describe("Names beside those that the text mentions."),
    metadata: metadata.optional().describe("In place of the metadata before (default: unchanged)."),
    if_version: z.number().int().min(1).optional().describe("Only if this is its newest version."),
  }),
  example: { session: "team-a/session_0123456789abcdef", message: "m_0123456789ab", text: "The parser is ready." },
  maxInputBytes: MAX_DOCUMENT_INPUT_BYTES,
  samples: { mentions: ["builder"], metadata: { build: 7 } },
  output: z.object({ session: z.string(), message: z.string(), version: z.number().int(), edited_at: z.string() }),
  access: { verb: "write", spaces: ({ session }) => [spaceOf(session)] },
  aliases: { ...messageAliases, content: "text", body: "text" },
  target: "session",
  work: ({ text }: EditCommand) => 4 * WRITE_ROW + WRITE_BYTE * text.bytes,
  prepare: (input, limits, proposer): EditCommand => ({
    session: input.session,
    message: input.message,
    text: storedText(input.text, limits),
    mentions: framedNames([...(input.mentions ?? []), ...mentionsIn(input.text)].slice(0, 2 * MAX_NAMES)),
    metadata: input.metadata === undefined ? null : metadataText(input.metadata),
    if_version: input.if_version ?? 0,
    reading: readingOf(proposer, spaceOf(input.session)),
    quota: stampedQuota(limits),
  }),
  asked: askedPart,
  apply(tx, command, stamp) {
    const session = sessionOf(tx, command.session);
    const before = ownMessage(tx, command, stamp);
    refuseClosed(session);
    refuseEdit(before, command);
    const metadata = command.metadata ?? before.metadata;
    const row: MessageRow = { ...before, version: before.version + 1, mentions: command.mentions };
    tx.run(
      "UPDATE messages SET version = ?, edited_at = ?, mentions = ? WHERE seq = ?",
      row.version,
      stamp.timeMs,
      row.mentions,
      row.seq,
    );
    const { text, hash, bytes } = command.text;
    writeVersion(tx, {
      message: row.seq,
      version: row.version,
      seq: stamp.seq,
      at: stamp.timeMs,
      hash,
      text,
      metadata,
    });
    nameInInboxes(tx, row, stamp.seq);
    noteChange(tx, row, "edited", stamp);
    const usage = new UsageDelta(session.space);
    usage.add(row.caller, costOfText(row, bytes, metadata) - namesBytes(before));
    usage.write(tx, command.quota);
    return {
      output: { session: session.id, message: row.id, version: row.version, edited_at: timeOf(stamp.timeMs) },
      changes: [messageChange(row, hash, metadata, "edited")],
    };
  },
});

/** The names of a message are kept once, whatever the number of its versions. */
function namesBytes({ recipients, mentions }: MessageRow): number {
  return Buffer.byteLength(recipients + mentions);
}

/** Returns a message of whoever a command acts as, with its text. Throws Fault `not_found` for another one. */
export function ownMessage(
  reader: Reader,
  { session, message: id, reading }: { session: string; message: string; reading: Reading },
  stamp: ApplyStamp,
): MessageWithText {
  const row = messageRow(reader, session, id);
  if (row === undefined || !isAuthor(row, viewerOf(reading, stamp)))
    throw new Fault("not_found", `You have no message ${JSON.stringify(id)} in ${session}`, {
      hint: "Only its author edits or retracts a message, as the same agent; an operator removes one with message_purge.",
      details: { session, message: id },
    });
  const found = messageAt(reader, row.seq);
  if (found === undefined) throw noMessage(session, id);
  return found;
}

function refuseEdit({ id, removed, version }: MessageRow, { if_version }: EditCommand): void {
  if (removed !== "") throw new Fault("deleted", `The text of ${id} was ${removed}`, { hint: "Post another message." });
  if (if_version !== 0 && if_version !== version)
    throw new Fault("version_mismatch", `${id} has version ${version}, not ${if_version}`, {
      hint: "Read it again, and apply your change to that.",
      details: { version },
    });
  if (version < MAX_VERSIONS) return;
  throw new Fault("quota_exceeded", `${id} has ${counted(version, "version")}, which is the limit`, {
    hint: "Post another message.",
    details: { limit: MAX_VERSIONS },
  });
}
