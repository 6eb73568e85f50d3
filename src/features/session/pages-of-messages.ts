// Pages of messages that a viewer may read: filtered by the rule of visibility before they are counted off, in steps
// between which other work gets a turn.

import { setImmediate as nextTurn } from "node:timers/promises";
import { foldedAgentName } from "../../lib/agent-key.ts";
import { LOOK_AT_ROW } from "../../lib/work.ts";
import type { CallContext } from "../../operation/define.ts";
import { shownName } from "../../operation/recipients.ts";
import type { Viewer } from "../../operation/viewer.ts";
import type { Reader } from "../../store/store.ts";
import { MAX_DEPTH, type MessageRow, type MessageWithText, messageAt, messageAtSeq } from "./rows.ts";
import { MAX_LISTED_TEXT, MessagesFor, type ShownMessage } from "./shown.ts";
import { mayRead } from "./viewer.ts";

/** A page ends with the message that exceeds this many characters of text. */
const PAGE_CHARACTERS = 60_000;
/** Rows read before other work gets a turn. */
const STEP = 500;
/** Most steps of a call: where few rows may be read, it returns a short page, and where to go on. */
const MAX_STEPS = 40;

/** Which messages of a session are wanted. */
export interface WantedMessages {
  session: string;
  limit: number;
  kind?: string | undefined;
  /** Name of an agent or caller. */
  from?: string | undefined;
}

/** A page, oldest first. */
export interface MessagePage {
  messages: ShownMessage[];
  /** Position before which there are older ones that match. */
  older?: string;
  /** Position after which there are newer ones that match. */
  newer?: string;
}

type Context = Pick<CallContext, "spend" | "signal" | "positionAt">;

/** Returns the newest messages below a seq. */
export async function newestMessages(
  reader: Reader,
  { before = Number.MAX_SAFE_INTEGER, ...wanted }: WantedMessages & { before?: number | undefined },
  viewer: Viewer,
  context: Context,
): Promise<MessagePage> {
  const sql = "SELECT * FROM messages WHERE session = ? AND seq < ? ORDER BY seq DESC LIMIT +?";
  const { rows, stoppedAt } = await scan(reader, sql, {
    ...{ session: wanted.session, from: before, limit: wanted.limit + 1, context },
    accepts: (row) => mayRead(row, viewer) && matches(row, wanted),
  });
  const page = fitting(reader, rows, wanted.limit);
  const older = rows.length > page.length ? page.at(-1)?.seq : stoppedAt;
  const messages = new MessagesFor(reader, viewer, context);
  return {
    messages: page.reverse().map((row) => messages.show(row, MAX_LISTED_TEXT)),
    ...(older === undefined ? {} : { older: context.positionAt(older) }),
  };
}

/**
 * Returns the oldest messages above a seq. With `thread`, the seq of a message: only that and the replies below it, as
 * far as each is reached by messages that the viewer may read.
 */
export async function messagesAfter(
  reader: Reader,
  { after, thread, ...wanted }: WantedMessages & { after: number; thread?: number | undefined },
  viewer: Viewer,
  context: Context,
): Promise<MessagePage> {
  const isWanted = thread === undefined ? () => true : inThread(reader, thread, viewer);
  const sql = "SELECT * FROM messages WHERE session = ? AND seq > ? ORDER BY seq LIMIT +?";
  const { rows, stoppedAt } = await scan(reader, sql, {
    ...{ session: wanted.session, limit: wanted.limit + 1, context },
    // A reply comes after what it is a reply to.
    from: thread === undefined ? after : Math.max(after, thread - 1),
    accepts: (row) => mayRead(row, viewer) && matches(row, wanted) && isWanted(row),
  });
  const page = fitting(reader, rows, wanted.limit);
  const newer = rows.length > page.length ? page.at(-1)?.seq : stoppedAt;
  const messages = new MessagesFor(reader, viewer, context);
  return {
    messages: page.map((row) => messages.show(row, MAX_LISTED_TEXT)),
    ...(newer === undefined ? {} : { newer: context.positionAt(newer) }),
  };
}

/** Returns whether a message that may be read is in a thread: its first one is among those above that count. */
function inThread(reader: Reader, first: number, viewer: Viewer): (row: MessageRow) => boolean {
  /** How far below the first one, by messages that may be read. */
  const known = new Map<number, number>([[first, 0]]);
  const depthOf = (seq: number): number => {
    const passed: number[] = [];
    let at = seq;
    // What comes before the first message is above it or elsewhere.
    while (at >= first && !known.has(at)) {
      if (passed.push(at) > MAX_DEPTH) return Number.POSITIVE_INFINITY;
      const row = messageAtSeq(reader, at);
      at = row !== undefined && mayRead(row, viewer) ? row.parent : 0;
    }
    const reached = known.get(at) ?? Number.POSITIVE_INFINITY;
    for (const [index, each] of passed.entries()) known.set(each, reached + passed.length - index);
    return reached + passed.length;
  };
  return ({ seq, parent }) => seq === first || depthOf(parent) < MAX_DEPTH;
}

function matches({ kind, caller, agent }: MessageRow, wanted: WantedMessages): boolean {
  if (wanted.kind !== undefined && kind !== wanted.kind) return false;
  if (wanted.from === undefined) return true;
  const from = wanted.from.replace(/^@/, "");
  if (agent !== "" && foldedAgentName(agent) === foldedAgentName(from)) return true;
  return [caller, shownName(caller)].includes(from);
}

interface Scan {
  session: string;
  /** Where it begins, without this seq. */
  from: number;
  limit: number;
  accepts: (row: MessageRow) => boolean;
  context: Context;
}

/** Returns the first rows that are accepted, in the order of the statement, and where it stopped before the end. */
async function scan(
  reader: Reader,
  sql: string,
  { session, from, limit, accepts, context }: Scan,
): Promise<{ rows: MessageRow[]; stoppedAt?: number }> {
  const found: MessageRow[] = [];
  let at = from;
  for (let steps = 1; ; steps += 1) {
    const rows = reader.all<MessageRow>(sql, session, at, STEP);
    context.spend(LOOK_AT_ROW * rows.length);
    for (const row of rows) {
      if (accepts(row)) found.push(row);
      if (found.length === limit) return { rows: found };
    }
    const last = rows.at(-1);
    if (rows.length < STEP || last === undefined) return { rows: found };
    at = last.seq;
    if (steps === MAX_STEPS) return { rows: found, stoppedAt: at };
    await nextTurn();
    context.signal.throwIfAborted();
  }
}

/** Returns the first rows whose texts fit a page, at least one, with their texts. */
function fitting(reader: Reader, rows: readonly MessageRow[], limit: number): MessageWithText[] {
  const page: MessageWithText[] = [];
  let characters = 0;
  for (const { seq } of rows.slice(0, limit)) {
    const row = messageAt(reader, seq);
    if (row === undefined) continue;
    characters += Math.min(row.text.length, MAX_LISTED_TEXT);
    if (page.length > 0 && characters > PAGE_CHARACTERS) break;
    page.push(row);
  }
  return page;
}
