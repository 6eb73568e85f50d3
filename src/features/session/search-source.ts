// What can be found of messages: their newest text, for those that may read the message.

import { spaceOf } from "../../access/space.ts";
import type { SearchSource } from "../../operation/search-source.ts";
import { recipientsOf } from "../../operation/visibility.ts";
import type { Reader } from "../../store/store.ts";
import { isAboutMessages } from "./changes.ts";
import { type MessageRow, SESSION_LEVEL } from "./rows.ts";

/** Messages whose text was not removed. */
export const searchedMessages: SearchSource = {
  kind: "message",
  level: SESSION_LEVEL,
  keysAfter: (reader, after, limit) =>
    reader
      .all<{ seq: number }>("SELECT seq FROM messages WHERE seq > ? ORDER BY seq LIMIT +?", Number(after), limit)
      .map(({ seq }) => String(seq)),
  changedBy(reader, { operation, seq }) {
    if (!isAboutMessages(operation) || operation === "message_ack") return [];
    const later = reader.get<{ message: number }>("SELECT message FROM message_changes WHERE seq = ?", seq);
    return [String(later?.message ?? seq)];
  },
  row(reader, key) {
    const row = reader.get<MessageRow & { version_seq: number; size: number }>(
      "SELECT m.*, v.seq AS version_seq, length(v.text) AS size FROM messages m " +
        "JOIN message_versions v ON v.message = m.seq AND v.version = m.version WHERE m.seq = ?",
      Number(key),
    );
    if (row === undefined || row.removed !== "") return undefined;
    const { visibility, caller, agent, type, recipients } = row;
    return {
      seq: row.version_seq,
      space: spaceOf(row.session),
      visible: { visibility, author: { caller, agent, type }, to: recipientsOf(recipients) },
      title: "",
      tags: [],
      text: () => textOf(reader, row),
      bytes: row.size,
      timeMs: row.posted_at,
      author: caller,
      agent,
      shown: { session: row.session, message: row.id },
    };
  },
};

function textOf(reader: Reader, { seq, version }: MessageRow): string {
  const row = reader.get<{ text: string }>(
    "SELECT text FROM message_versions WHERE message = ? AND version = ?",
    seq,
    version,
  );
  return row?.text ?? "";
}
