// The rows of sessions and messages, and their lookup.

import { Fault } from "../../lib/fault.ts";
import type { Reader } from "../../store/store.ts";

/** The fleet level from which on there are sessions. */
export const SESSION_LEVEL = 3;

/** Most messages above one that are a thread for who reads them: those nearest to it. */
export const MAX_DEPTH = 64;

/** A row of `sessions`. Times are log times in ms. */
export interface SessionRow {
  id: string;
  space: string;
  purpose: string;
  /** A JSON object in canonical form, or "". */
  metadata: string;
  caller: string;
  agent: string;
  seq: number;
  created_at: number;
  state: "open" | "closed";
  state_caller: string;
  state_agent: string;
  state_at: number;
  public_count: number;
  public_at: number;
  hidden_count: number;
  active_seq: number;
}

/** A row of `messages`. */
export interface MessageRow {
  seq: number;
  session: string;
  id: string;
  /** Seq of the message that it is a reply to, or 0. */
  parent: number;
  /** How many messages are above it. Who may not read all of these counts for itself. */
  depth: number;
  kind: string;
  visibility: string;
  /** The author: caller and agent, or "", with the type of that where a grant listed it, or "". */
  caller: string;
  agent: string;
  type: string;
  /** Framed, see names.ts. */
  recipients: string;
  mentions: string;
  wants_ack: number;
  via: string;
  client: string;
  posted_at: number;
  version: number;
  edited_at: number;
  removed: "" | "retracted" | "purged";
}

/** A row of `message_versions`. */
export interface VersionRow {
  message: number;
  version: number;
  seq: number;
  at: number;
  hash: string;
  text: string;
  metadata: string;
}

/** A message with its newest text. */
export interface MessageWithText extends MessageRow, Pick<VersionRow, "text" | "metadata"> {}

/** Selects messages with their newest text. */
const SELECT_MESSAGE =
  "SELECT m.*, v.text AS text, v.metadata AS metadata FROM messages m JOIN message_versions v ON v.message = m.seq AND v.version = m.version";

/** Returns a session. Throws Fault `not_found`. */
export function sessionOf(reader: Reader, id: string): SessionRow {
  const row = reader.get<SessionRow>("SELECT * FROM sessions WHERE id = ?", id);
  if (row !== undefined) return row;
  throw new Fault("not_found", `There is no session ${JSON.stringify(id)}`, {
    hint: "session_list shows those that you may read; session_create begins one.",
    details: { session: id },
  });
}

/** Returns a message of a session, whoever may read it. */
export function messageRow(reader: Reader, session: string, id: string): MessageRow | undefined {
  return reader.get<MessageRow>("SELECT * FROM messages WHERE session = ? AND id = ?", session, id);
}

/** Returns a message by its seq, whoever may read it; undefined for 0. */
export function messageAtSeq(reader: Reader, seq: number): MessageRow | undefined {
  return seq === 0 ? undefined : reader.get<MessageRow>("SELECT * FROM messages WHERE seq = ?", seq);
}

/** What a message became by a change. */
export type MessageEvent = "posted" | "edited" | "retracted" | "purged" | "acknowledged";

/** A change of a message, with the message as it is now. */
export interface ChangedMessage {
  seq: number;
  event: MessageEvent;
  /** Whose change it is. */
  by: { caller: string; agent: string };
  row: MessageWithText;
}

/** Returns what a change did to which message; undefined for a change of anything else. */
export function changedMessage(reader: Reader, seq: number): ChangedMessage | undefined {
  const posted = messageAt(reader, seq);
  if (posted !== undefined) return { seq, event: "posted", by: posted, row: posted };
  const later = reader.get<{ message: number; event: MessageEvent; caller: string; agent: string }>(
    "SELECT message, event, caller, agent FROM message_changes WHERE seq = ?",
    seq,
  );
  const row = later && messageAt(reader, later.message);
  return row && { seq, event: later.event, by: later, row };
}

/** Returns a message by the change that posted it, with its newest text. */
export function messageAt(reader: Reader, seq: number): MessageWithText | undefined {
  return reader.get<MessageWithText>(`${SELECT_MESSAGE} WHERE m.seq = ?`, seq);
}

/** The refusal of a message that is not there, or that the caller may not read: the two are not told apart. */
export function noMessage(session: string, id: string): Fault {
  return new Fault("not_found", `There is no message ${JSON.stringify(id)} in ${session} that you may read`, {
    hint: "message_list shows those that you may read.",
    details: { session, message: id },
  });
}
