// session_get, session_participants and message_get: one session, who takes part in it, and one message.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { timeOf } from "../../lib/time-of.ts";
import { LOOK_AT_ROW } from "../../lib/work.ts";
import { type CallContext, read } from "../../operation/define.ts";
import { listCursor, parseListCursor } from "../../operation/page-cursor.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import type { Reader } from "../../store/store.ts";
import { limitArgument } from "./arguments.ts";
import { authorKey, type ReadableHidden, readableHidden } from "./hidden.ts";
import { messageAliases, messageId, sessionAliases, sessionId } from "./ids.ts";
import type { MemberRow } from "./members.ts";
import { newestMessages } from "./pages-of-messages.ts";
import { type MessageRow, type MessageWithText, messageAt, noMessage, SESSION_LEVEL, sessionOf } from "./rows.ts";
import { acksOf, authorPart, MessagesFor, sessionFor, shownMessage, shownSession } from "./shown.ts";
import { readableMessage } from "./viewer.ts";

/** Participants and messages that session_get shows, unless the call says. */
const FEW_PARTICIPANTS = 50;
const FEW_MESSAGES = 20;
/** Most participants of a page. */
const MAX_PARTICIPANTS_PAGE = 500;
/** Most acknowledgements and versions that message_get lists. */
const MAX_ACKS = 1000;

const participant = z.object({
  author: z.string(),
  agent: z.string().optional(),
  joined: z.boolean().describe("False: it wrote, and did not join."),
  messages: z.number().int().describe("Its messages that you may read."),
  last_at: z.string().optional().describe("When it posted the last of these."),
});

/** Reads a session. */
export const sessionGet = read({
  name: "session_get",
  title: "Read a session",
  search: "open a conversation, read a chat, latest messages, what was said",
  description:
    "Reads a session: purpose, state, participants, and the last messages that you may read, oldest first. message_list reads more of them; message_wait waits for new ones from the returned position.",
  input: z.object({
    session: sessionId,
    limit: limitArgument.optional().describe(`At most this many of the last messages (default ${FEW_MESSAGES}).`),
  }),
  example: { session: "team-a/session_0123456789abcdef" },
  output: shownSession.extend({
    participants: z.array(participant).describe(`At most ${FEW_PARTICIPANTS}; session_participants lists all.`),
    messages: z.array(shownMessage),
    older: z.string().optional().describe("Pass it to message_list as before; absent where there are no older ones."),
    position: z.string().describe("Pass it as since to message_wait."),
  }),
  access: { verb: "read", spaces: ({ session }) => [spaceOf(session)] },
  aliases: sessionAliases,
  async run(reader, { session, limit = FEW_MESSAGES }, context) {
    refuseBelowLevel(reader, SESSION_LEVEL, "session_get");
    const row = sessionOf(reader, session);
    const viewer = context.viewer(row.space);
    const position = context.positionAt(context.position().seq);
    const hidden = await readableHidden(reader, row, viewer, context);
    const { messages, older } = await newestMessages(reader, { session, limit }, viewer, context);
    return {
      ...sessionFor(row, hidden),
      participants: participantsOf(reader, session, { limit: FEW_PARTICIPANTS }, hidden, context),
      messages,
      ...(older === undefined ? {} : { older }),
      position,
    };
  },
});

/** Lists participants. */
export const sessionParticipants = read({
  name: "session_participants",
  title: "List participants",
  search: "who takes part in a conversation, members of a chat",
  description:
    "Lists who joined a session, and who wrote in it what you may read, by name of the caller and its agent.",
  input: z.object({
    session: sessionId,
    limit: z.number().int().min(1).max(MAX_PARTICIPANTS_PAGE).optional().describe("At most this many (default 100)."),
    cursor: z.string().min(1).max(2048).optional().describe("The cursor of the previous page."),
  }),
  example: { session: "team-a/session_0123456789abcdef" },
  samples: { cursor: "WyJsb2NhbCIsIiJd" },
  output: z.object({
    participants: z.array(participant),
    cursor: z.string().optional().describe("Pass it back for the next page; absent on the last."),
  }),
  access: { verb: "read", spaces: ({ session }) => [spaceOf(session)] },
  aliases: sessionAliases,
  async run(reader, { session, limit = 100, cursor }, context) {
    refuseBelowLevel(reader, SESSION_LEVEL, "session_participants");
    const row = sessionOf(reader, session);
    const after = cursor === undefined ? undefined : parseCursor(cursor);
    const hidden = await readableHidden(reader, row, context.viewer(row.space), context);
    const participants = participantsOf(reader, session, { after, limit: limit + 1 }, hidden, context);
    const page = participants.slice(0, limit);
    const last = participants.length > limit ? page.at(-1) : undefined;
    return {
      participants: page,
      ...(last === undefined ? {} : { cursor: writeCursor(last) }),
    };
  },
});

/** Reads one message. */
export const messageGet = read({
  name: "message_get",
  title: "Read a message",
  search: "read one message of a chat, quote, what somebody said",
  description:
    "Reads one message with its whole text, or an earlier version of it, with its versions and those who acknowledged it.",
  input: z.object({
    session: sessionId,
    message: messageId,
    version: z.number().int().min(1).optional().describe("This version (default: the newest)."),
  }),
  example: { session: "team-a/session_0123456789abcdef", message: "m_0123456789ab" },
  output: shownMessage.extend({
    versions: z.array(z.object({ version: z.number().int(), at: z.string(), hash: z.string() })),
    acked_by: z
      .array(z.object({ author: z.string(), agent: z.string().optional(), at: z.string() }))
      .describe(`At most ${MAX_ACKS}, by name.`),
  }),
  access: { verb: "read", spaces: ({ session }) => [spaceOf(session)] },
  aliases: messageAliases,
  run(reader, { session, message, version }, context) {
    refuseBelowLevel(reader, SESSION_LEVEL, "message_get");
    sessionOf(reader, session);
    const viewer = context.viewer(spaceOf(session));
    const { seq } = readableMessage(reader, session, message, viewer);
    const row = messageIn(reader, seq, version);
    if (row === undefined) throw noMessage(session, `${message} (version ${version})`);
    const versions = reader.all<{ version: number; at: number; hash: string }>(
      "SELECT version, at, hash FROM message_versions WHERE message = ? ORDER BY version",
      seq,
    );
    const acks = acksOf(reader, seq, MAX_ACKS);
    context.spend(LOOK_AT_ROW * (versions.length + acks.length));
    return {
      ...new MessagesFor(reader, viewer, context).show(row),
      version: version ?? row.version,
      versions: versions.map(({ at, ...each }) => ({ ...each, at: timeOf(at) })),
      acked_by: acks,
    };
  },
});

function messageIn(reader: Reader, seq: number, version: number | undefined): MessageWithText | undefined {
  const newest = messageAt(reader, seq);
  if (newest === undefined || version === undefined) return newest;
  const kept = versionOf(reader, seq, version);
  return kept && { ...newest, ...kept };
}

function versionOf(reader: Reader, seq: number, version: number) {
  return reader.get<Pick<MessageWithText, "text" | "metadata">>(
    "SELECT text, metadata FROM message_versions WHERE message = ? AND version = ?",
    seq,
    version,
  );
}

/** Returns the text of one version of a message; "" where it was removed. Throws Fault `not_found`. */
export function textOfVersion(reader: Reader, { session, id, seq }: MessageRow, version: number): string {
  const kept = versionOf(reader, seq, version);
  if (kept === undefined) throw noMessage(session, `${id} (version ${version})`);
  return kept.text;
}

interface Place {
  caller: string;
  agent: string;
}

/** Returns participants that the viewer may know of, by name of caller and agent. */
function participantsOf(
  reader: Reader,
  session: string,
  { after = { caller: "", agent: "" }, limit }: { after?: Place | undefined; limit: number },
  hidden: ReadableHidden,
  { spend }: Pick<CallContext, "spend">,
): z.infer<typeof participant>[] {
  const found: z.infer<typeof participant>[] = [];
  // At most MAX_PARTICIPANTS rows.
  const rows = reader.all<MemberRow>(
    "SELECT * FROM session_members WHERE session = ? AND (caller, agent) > (?, ?) ORDER BY caller, agent",
    session,
    after.caller,
    after.agent,
  );
  spend(LOOK_AT_ROW * rows.length);
  for (const row of rows) {
    const readable = hidden.byAuthor.get(authorKey(row)) ?? { count: 0, lastMs: 0 };
    const messages = row.public_count + readable.count;
    if (row.joined === 0 && messages === 0) continue;
    const lastMs = Math.max(row.public_at, readable.lastMs);
    const last = lastMs === 0 ? {} : { last_at: timeOf(lastMs) };
    found.push({ ...authorPart(row), joined: row.joined === 1, messages, ...last });
    if (found.length === limit) break;
  }
  return found;
}

function writeCursor({ author, agent = "" }: z.infer<typeof participant>): string {
  return listCursor([author, agent]);
}

const cursorShape = z.tuple([z.string().min(1).max(512), z.string().max(64)]);

function parseCursor(cursor: string): Place {
  const [caller, agent] = parseListCursor(cursor, cursorShape, "participants");
  return { caller, agent };
}
