// How apply writes the texts of messages, whom they name, and their changes; shared by the writes.

import type { Changed, Stamp } from "../../log/log.ts";
import { stateHash } from "../../log/state-hash.ts";
import { ROW_BYTES } from "../../operation/usage.ts";
import { recipientsOf } from "../../operation/visibility.ts";
import type { Writer } from "../../store/store.ts";
import type { MessageEvent, MessageRow, VersionRow } from "./rows.ts";

/** Returns the bytes that a version of a message counts for. */
export function costOfText(
  { recipients, mentions }: Pick<MessageRow, "recipients" | "mentions">,
  textBytes: number,
  metadata: string,
): number {
  return ROW_BYTES + textBytes + Buffer.byteLength(metadata) + Buffer.byteLength(recipients + mentions);
}

/** Adds a version of a text. */
export function writeVersion(tx: Writer, { message, version, seq, at, hash, text, metadata }: VersionRow): void {
  tx.run(
    "INSERT INTO message_versions (message, version, seq, at, hash, text, metadata) VALUES (?,?,?,?,?,?,?)",
    message,
    version,
    seq,
    at,
    hash,
    text,
    metadata,
  );
}

/** Puts a message into the inboxes of those it names and has not named before, by the change `seq`. */
export function nameInInboxes(tx: Writer, row: MessageRow, seq: number): void {
  const names = new Set([...recipientsOf(row.recipients), ...recipientsOf(row.mentions)]);
  const before = tx.all<{ name: string }>("SELECT name FROM message_names WHERE message = ?", row.seq);
  for (const { name } of before)
    if (!names.delete(name)) tx.run("DELETE FROM message_names WHERE message = ? AND name = ?", row.seq, name);
  for (const name of names) tx.run("INSERT INTO message_names (name, seq, message) VALUES (?,?,?)", name, seq, row.seq);
}

/** Notes which message a change is about, for changes after the one that posted it. */
export function noteChange(
  tx: Writer,
  row: MessageRow,
  event: MessageEvent,
  { seq, caller, agent = "" }: Pick<Stamp, "seq" | "caller" | "agent">,
): void {
  tx.run(
    "INSERT INTO message_changes (seq, message, session, event, caller, agent) VALUES (?,?,?,?,?,?)",
    seq,
    row.seq,
    row.session,
    event,
    caller,
    agent,
  );
}

/** Returns the change of a message. Its target is the session, since an id would tell of one that is not public. */
export function messageChange(row: MessageRow, contentHash: string, metadata: string, outcome: MessageEvent): Changed {
  const { id, kind, visibility, parent, recipients, mentions, wants_ack, version } = row;
  return {
    target: row.session,
    version,
    contentHash,
    outcome,
    state: stateHash([id, kind, visibility, parent, recipients, mentions, wants_ack, metadata]),
  };
}
