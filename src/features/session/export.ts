// session_export: a session as lines of JSON, with every version of the messages that the caller may read, in pages.

import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { visibleJson } from "../../lib/printable.ts";
import { timeOf } from "../../lib/time-of.ts";
import { LOOK_AT_ROW, READ_BYTE, SHOW_ROW } from "../../lib/work.ts";
import { type CallContext, read } from "../../operation/define.ts";
import { parseNumberCursor } from "../../operation/page-cursor.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import type { Viewer } from "../../operation/viewer.ts";
import type { Reader } from "../../store/store.ts";
import { readableHidden } from "./hidden.ts";
import { sessionAliases, sessionId } from "./ids.ts";
import { type MessageWithText, messageAt, SESSION_LEVEL, sessionOf, type VersionRow } from "./rows.ts";
import { authorPart, MessagesFor, sessionFor } from "./shown.ts";
import { mayRead } from "./viewer.ts";

const MAX_LINES = 500;
/** A page ends with the line that exceeds this length. */
const PAGE_CHARACTERS = 1024 * 1024;
/** Messages read before other work gets a turn. */
const STEP = 50;

/** Exports a session. */
export const sessionExport = read({
  name: "session_export",
  title: "Export a session",
  search: "download a conversation, transcript, archive, backup of a session",
  description:
    "Returns a session as lines of JSON for `cairn session export`: the session, then each message that you may read, with every version of its text and those who acknowledged it, in the order in which they were posted. Versions and acknowledgements are as of each page.",
  input: z.object({
    session: sessionId,
    cursor: z.string().min(1).max(32).optional().describe("The cursor of the previous page."),
  }),
  example: { session: "team-a/session_0123456789abcdef" },
  samples: { cursor: "57" },
  output: z.object({
    lines: z.array(z.string()).describe("One JSON object a line, with the member type: session or message."),
    cursor: z.string().optional().describe("Pass it back for the next page; absent on the last."),
  }),
  access: { verb: "read", spaces: ({ session }) => [spaceOf(session)] },
  aliases: sessionAliases,
  async run(reader, { session, cursor }, context) {
    refuseBelowLevel(reader, SESSION_LEVEL, "session_export");
    const row = sessionOf(reader, session);
    const viewer = context.viewer(row.space);
    const after = cursor === undefined ? 0 : parseNumberCursor(cursor, "an export of a session");
    const hidden = cursor === undefined ? await readableHidden(reader, row, viewer, context) : undefined;
    // Every character that a terminal or an editor would act on is an escape of the JSON.
    const first = hidden === undefined ? [] : [visibleJson({ type: "session", ...sessionFor(row, hidden) })];
    const page = await linesAfter(reader, session, after, viewer, context);
    return { ...page, lines: [...first, ...page.lines] };
  },
});

async function linesAfter(
  reader: Reader,
  session: string,
  after: number,
  viewer: Viewer,
  context: CallContext,
): Promise<{ lines: string[]; cursor?: string }> {
  const lines: string[] = [];
  let characters = 0;
  for (let at = after; ; ) {
    const seqs = reader.all<{ seq: number }>(
      "SELECT seq FROM messages WHERE session = ? AND seq > ? ORDER BY seq LIMIT +?",
      session,
      at,
      STEP,
    );
    context.spend(LOOK_AT_ROW * seqs.length);
    for (const { seq } of seqs) {
      at = seq;
      const row = messageAt(reader, seq);
      if (row === undefined || !mayRead(row, viewer)) continue;
      const line = lineOf(reader, row, viewer, context);
      lines.push(line);
      characters += line.length;
      if (lines.length >= MAX_LINES || characters >= PAGE_CHARACTERS) return { lines, cursor: String(at) };
    }
    if (seqs.length < STEP) return { lines };
    await nextTurn();
    context.signal.throwIfAborted();
  }
}

function lineOf(reader: Reader, row: MessageWithText, viewer: Viewer, context: CallContext): string {
  const versions = reader.all<VersionRow>("SELECT * FROM message_versions WHERE message = ? ORDER BY version", row.seq);
  const acks = reader.all<{ caller: string; agent: string; at: number }>(
    "SELECT caller, agent, at FROM message_acks WHERE message = ? ORDER BY caller, agent",
    row.seq,
  );
  context.spend(versions.reduce((sum, { text }) => sum + SHOW_ROW + READ_BYTE * text.length, 0));
  return visibleJson({
    type: "message",
    ...new MessagesFor(reader, viewer, context).show(row),
    versions: versions.map(({ version, at, hash, text }) => ({ version, at: timeOf(at), hash, text })),
    acked_by: acks.map(({ at, ...each }) => ({ ...authorPart(each), at: timeOf(at) })),
  });
}
