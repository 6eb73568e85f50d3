// message_post: writes a message into a session.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { MAX_DOCUMENT_INPUT_BYTES } from "../../lib/bounds.ts";
import { Fault } from "../../lib/fault.ts";
import { timeOf } from "../../lib/time-of.ts";
import { LOOK_AT_ROW, WRITE_BYTE, WRITE_ROW } from "../../lib/work.ts";
import { type ApplyStamp, write } from "../../operation/define.ts";
import { metadataText } from "../../operation/metadata.ts";
import { type Reading, readingOf, viewerOf } from "../../operation/reading.ts";
import { addressee, framedNames, MAX_NAMES } from "../../operation/recipients.ts";
import { type Quota, UsageDelta } from "../../operation/usage.ts";
import { recipientsOf, VISIBILITIES } from "../../operation/visibility.ts";
import type { Reader, Writer } from "../../store/store.ts";
import { askedPart, metadata, stampedQuota, storedText, type Text } from "./arguments.ts";
import { messageId, newMessageId, sessionAliases, sessionId } from "./ids.ts";
import { noteMember } from "./members.ts";
import { mentionsIn } from "./names.ts";
import { MAX_DEPTH, type MessageRow, messageAtSeq, SESSION_LEVEL, type SessionRow, sessionOf } from "./rows.ts";
import { mayRead, readableMessage } from "./viewer.ts";
import { costOfText, messageChange, nameInInboxes, writeVersion } from "./write-message.ts";

interface PostCommand {
  session: string;
  text: Text;
  kind: string;
  visibility: string;
  recipients: string;
  mentions: string;
  /** "": it begins a thread. */
  parent: string;
  metadata: string;
  wants_ack: boolean;
  reading: Reading;
  quota: Quota;
}

/** Posts a message. */
export const messagePost = write({
  name: "message_post",
  v: 1,
  level: SESSION_LEVEL,
  title: "Post a message",
  search: "send a message, say, chat, reply, answer, ask, tell another agent, notify",
  description:
    "Posts a message in a session. Mention others as @name in the text, or address them in to: it appears in their inbox. visibility: public (whoever may read the space), private (you and those in to), agent_only (agents of your type), admin_only (admins of the space). Name a message as parent to reply to it; set ack if you need to know that it was read and accepted.",
  input: z.object({
    session: sessionId,
    text: z.string().min(1).describe("What you say, Markdown if you like."),
    kind: z
      .string()
      .regex(/^[a-z][a-z0-9_-]{0,31}$/, "a word of at most 32 lower-case letters, digits, _ and -")
      .optional()
      .describe("text (default), plan, question, answer, decision, handoff, status, or another word."),
    to: z
      .array(addressee)
      .max(MAX_NAMES)
      .optional()
      .describe("Names of agents, logins or tags that it is addressed to."),
    visibility: z.enum(VISIBILITIES).optional().describe("Who may read it (default: public)."),
    parent: messageId.optional().describe("The message that it is a reply to."),
    mentions: z.array(addressee).max(MAX_NAMES).optional().describe("Names beside those that the text mentions."),
    ack: z
      .boolean()
      .optional()
      .describe("You want an acknowledgement (message_ack) of those it names, or of every participant."),
    metadata: metadata.optional(),
  }),
  example: { session: "team-a/session_0123456789abcdef", text: "@reviewer the parser is ready", kind: "handoff" },
  maxInputBytes: MAX_DOCUMENT_INPUT_BYTES,
  samples: { to: ["reviewer"], mentions: ["builder"], parent: "m_0123456789ab", metadata: { build: 7 } },
  output: z.object({
    session: z.string(),
    message: z.string(),
    posted_at: z.string(),
  }),
  access: { verb: "write", spaces: ({ session }) => [spaceOf(session)] },
  aliases: {
    ...{ ...sessionAliases, content: "text", message: "text", body: "text", type: "kind" },
    ...{ parent_message_id: "parent", reply_to: "parent", recipients: "to", wants_ack: "ack" },
  },
  target: "session",
  work: (command: PostCommand) => workOf(command),
  prepare(input, limits, proposer): PostCommand {
    const mentions = [...(input.mentions ?? []), ...mentionsIn(input.text)].slice(0, 2 * MAX_NAMES);
    const recipients = framedNames(input.to ?? []);
    const { visibility = "public" } = input;
    if (visibility === "private" && recipients === "" && input.ack === true) throw nobodyToAcknowledge();
    return {
      session: input.session,
      text: storedText(input.text, limits),
      kind: input.kind ?? "text",
      visibility,
      recipients,
      mentions: framedNames(mentions),
      parent: input.parent ?? "",
      metadata: metadataText(input.metadata ?? {}),
      wants_ack: input.ack === true,
      reading: readingOf(proposer, spaceOf(input.session)),
      quota: stampedQuota(limits),
    };
  },
  asked: askedPart,
  apply(tx, command, stamp) {
    const session = sessionOf(tx, command.session);
    refuseClosed(session);
    const above = command.parent === "" ? undefined : parentOf(tx, command, stamp);
    const row = newRow(tx, command, stamp, above);
    if (row.visibility === "agent_only" && row.type === "") throw noType(stamp.agent);
    insert(tx, row);
    const version = { message: row.seq, version: 1, seq: stamp.seq, at: stamp.timeMs };
    writeVersion(tx, { ...version, text: command.text.text, hash: command.text.hash, metadata: command.metadata });
    nameInInboxes(tx, row, stamp.seq);
    countPosted(tx, row, stamp);
    const usage = new UsageDelta(session.space);
    usage.add(stamp.caller, costOfText(row, command.text.bytes, command.metadata));
    usage.write(tx, command.quota);
    return {
      output: {
        session: session.id,
        message: row.id,
        posted_at: timeOf(stamp.timeMs),
      },
      changes: [messageChange(row, command.text.hash, command.metadata, "posted")],
    };
  },
});

function workOf({ text, recipients, mentions }: PostCommand): number {
  const names = recipientsOf(recipients).length + recipientsOf(mentions).length;
  return WRITE_ROW * (3 + names / 4) + WRITE_BYTE * text.bytes;
}

/** Throws Fault `session_closed`. */
export function refuseClosed({ id, state, state_at }: SessionRow): void {
  if (state === "open") return;
  throw new Fault("session_closed", `${id} was closed at ${timeOf(state_at)}`, {
    hint: "Open it again with session_reopen, or begin another with session_create.",
    details: { session: id },
  });
}

/** Returns the message that is replied to. What its author may not read is not there for it, nor counted. */
function parentOf(reader: Reader, { session, parent, reading }: PostCommand, stamp: ApplyStamp): MessageRow {
  const viewer = viewerOf(reading, stamp);
  const row = readableMessage(reader, session, parent, viewer);
  if (row.depth < MAX_DEPTH) return row;
  let above: MessageRow | undefined = row;
  for (let depth = 0; depth < MAX_DEPTH; depth += 1) {
    stamp.work.spend(LOOK_AT_ROW);
    above = messageAtSeq(reader, above.parent);
    if (above === undefined || !mayRead(above, viewer)) return row;
  }
  throw new Fault("too_large", `${parent} has ${MAX_DEPTH} messages above it, which is as deep as a thread may be`, {
    hint: "Reply to a message further up, or begin a thread.",
    details: { limit: MAX_DEPTH },
  });
}

function newRow(tx: Writer, command: PostCommand, stamp: ApplyStamp, above: MessageRow | undefined): MessageRow {
  return {
    seq: stamp.seq,
    session: command.session,
    id: newMessageId(tx, command.session, stamp.seq),
    parent: above?.seq ?? 0,
    depth: above === undefined ? 0 : above.depth + 1,
    kind: command.kind,
    visibility: command.visibility,
    caller: stamp.caller,
    agent: stamp.agent ?? "",
    type: stamp.agentType ?? "",
    recipients: command.recipients,
    mentions: command.mentions,
    wants_ack: command.wants_ack ? 1 : 0,
    via: stamp.via,
    client: stamp.client ?? "",
    posted_at: stamp.timeMs,
    version: 1,
    edited_at: 0,
    removed: "",
  };
}

// The order of these columns is part of the statement, and so of the log's format.
const COLUMNS = [
  ...(["seq", "session", "id", "parent", "depth", "kind", "visibility", "caller", "agent", "type"] as const),
  ...(["recipients", "mentions", "wants_ack", "via", "client", "posted_at", "version", "edited_at"] as const),
  ...(["removed"] as const),
];
const INSERT = `INSERT INTO messages (${COLUMNS.join(", ")}) VALUES (${COLUMNS.map(() => "?").join(",")})`;

function insert(tx: Writer, row: MessageRow): void {
  tx.run(INSERT, ...COLUMNS.map((column) => row[column]));
}

/** A message that not everybody may read changes nothing that everybody sees of the session. */
function countPosted(tx: Writer, row: MessageRow, stamp: ApplyStamp): void {
  const isPublic = row.visibility === "public";
  noteMember(tx, row.session, stamp, isPublic ? "posted" : "posted hidden");
  if (isPublic)
    tx.run(
      "UPDATE sessions SET public_count = public_count + 1, public_at = ?, active_seq = ? WHERE id = ?",
      stamp.timeMs,
      stamp.seq,
      row.session,
    );
  else tx.run("UPDATE sessions SET hidden_count = hidden_count + 1 WHERE id = ?", row.session);
}

function nobodyToAcknowledge(): Fault {
  return new Fault("invalid_input", "A private message to nobody wants an acknowledgement", {
    hint: 'Address it: to: ["name"].',
    details: { field: "to" },
  });
}

function noType(agent: string | undefined): Fault {
  const who = agent === undefined ? "This call acts as no agent" : `No grant lists the type of the agent ${agent}`;
  return new Fault("invalid_input", `${who}, so nobody could read an agent_only message of it`, {
    hint: 'Use private with to; or let an admin list the type in a grant ("agent_types") for this space.',
    details: { field: "visibility" },
  });
}
