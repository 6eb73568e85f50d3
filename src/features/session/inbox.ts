// inbox: what names the caller, or waits for its acknowledgement, over all sessions that it may read.

import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { LOOK_AT_ROW } from "../../lib/work.ts";
import { type CallContext, read } from "../../operation/define.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import type { Viewer } from "../../operation/viewer.ts";
import { positionArgument } from "../../operation/wait-arguments.ts";
import type { Reader } from "../../store/store.ts";
import { namesOfViewer } from "./names.ts";
import { type MessageRow, type MessageWithText, messageAt, SESSION_LEVEL } from "./rows.ts";
import { hasAcknowledged, MessagesFor, shownMessage } from "./shown.ts";
import { isSame, mayRead } from "./viewer.ts";

const MAX_PAGE = 200;
/** Longest text of an entry, in characters. */
const MAX_TEXT = 2000;
/** Rows read before other work gets a turn. */
const STEP = 500;
/** Most steps of a call: where little may be read, it returns a short page. */
const MAX_STEPS = 40;

/** Lists what is addressed to the caller. */
export const inbox = read({
  name: "inbox",
  title: "Read your inbox",
  search: "what is for me, mentions, unread, notifications, waiting for my answer",
  description:
    "Lists the messages of all sessions that name you (as agent, login or tag: mentioned or addressed), or that want an acknowledgement of yours. Without since the newest ones; pass the returned position as since for what came after. With unacknowledged only what still waits for your message_ack.",
  input: z.object({
    since: positionArgument.optional().describe("Only what came after this position, the first of it."),
    unacknowledged: z.boolean().optional().describe("Only what wants an acknowledgement and has none of yours."),
    limit: z.number().int().min(1).max(MAX_PAGE).optional().describe("At most this many (default 50)."),
  }),
  example: { limit: 20 },
  samples: { since: "1f3a9c0b22-7" },
  output: z.object({
    messages: z.array(
      shownMessage.extend({
        why: z.array(z.enum(["addressed", "mentioned", "ack_wanted"])).describe("Why it is in your inbox."),
      }),
    ),
    position: z.string().describe("Pass it as since for what comes later."),
    more: z.boolean().describe("There is more: after position if you gave since, else older."),
  }),
  access: { verb: "read", spaces: "visible" },
  aliases: { after: "since" },
  async run(reader, { since, unacknowledged = false, limit = 50 }, context) {
    refuseBelowLevel(reader, SESSION_LEVEL, "inbox");
    const head = context.position().seq;
    const after = since === undefined ? undefined : await context.reach(since);
    const { found, stoppedAt } = await entriesOf(reader, { after, unacknowledged, limit: limit + 1 }, context);
    const page = found.slice(0, limit);
    const more = found.length > limit || stoppedAt !== undefined;
    const reached = found.length > limit ? page.at(-1)?.seq : stoppedAt;
    const seq = after === undefined ? head : (reached ?? head);
    return {
      messages: (after === undefined ? page.reverse() : page).map(({ row, why }) => {
        const viewer = context.viewer(spaceOf(row.session));
        return { ...new MessagesFor(reader, viewer, context).show(row, MAX_TEXT), why };
      }),
      position: context.positionAt(seq),
      more,
    };
  },
});

type Why = "addressed" | "mentioned" | "ack_wanted";

interface Entry {
  /** The change that put it here. */
  seq: number;
  row: MessageWithText;
  why: Why[];
}

interface Wanted {
  /** Undefined: the newest, in falling order. */
  after: number | undefined;
  unacknowledged: boolean;
  limit: number;
}

/** Returns entries in the order in which they are looked for, and where it stopped before the end. */
async function entriesOf(
  reader: Reader,
  wanted: Wanted,
  context: CallContext,
): Promise<{ found: Entry[]; stoppedAt?: number }> {
  const viewers = new Map<string, Viewer>();
  const found: Entry[] = [];
  const seen = new Set<number>();
  let from = wanted.after ?? Number.MAX_SAFE_INTEGER;
  for (let steps = 1; ; steps += 1) {
    const places = placesFrom(reader, from, wanted.after === undefined, context);
    context.spend(LOOK_AT_ROW * places.length);
    for (const { seq, message } of places) {
      from = seq;
      if (seen.has(message)) continue;
      seen.add(message);
      const entry = entryAt(reader, seq, message, viewers, context);
      if (entry === undefined || (wanted.unacknowledged && !entry.why.includes("ack_wanted"))) continue;
      found.push(entry);
      if (found.length === wanted.limit) return { found };
    }
    if (places.length < STEP) return { found };
    if (steps === MAX_STEPS) return { found, stoppedAt: from };
    await nextTurn();
    context.signal.throwIfAborted();
  }
}

interface Place {
  seq: number;
  message: number;
}

/** Returns where the caller is named, and what wants the acknowledgement of every participant of its sessions. */
function placesFrom(reader: Reader, from: number, falling: boolean, context: CallContext): Place[] {
  const viewer = context.viewer("default");
  const names = namesOfViewer(viewer);
  const [caller = "", otherName = caller] = viewer.callers;
  const [compared, order] = falling ? ["<", "DESC"] : [">", "ASC"];
  const lists = [
    ...names.map((name) =>
      reader.all<Place>(
        `SELECT seq, message FROM message_names WHERE name = ? AND seq ${compared} ? ORDER BY seq ${order} LIMIT +?`,
        name,
        from,
        STEP,
      ),
    ),
    reader.all<Place>(
      `SELECT m.seq AS seq, m.seq AS message FROM messages m INDEXED BY messages_for_all
         WHERE m.wants_ack = 1 AND m.recipients = '' AND m.mentions = '' AND m.seq ${compared} ? AND m.session IN
           (SELECT session FROM session_members WHERE caller IN (?, ?) AND agent = ?) ORDER BY m.seq ${order} LIMIT +?`,
      from,
      caller,
      otherName,
      viewer.agent ?? "",
      STEP,
    ),
  ];
  const places = lists.flat().sort((a, b) => (falling ? b.seq - a.seq : a.seq - b.seq));
  return places.slice(0, STEP);
}

function entryAt(
  reader: Reader,
  seq: number,
  message: number,
  viewers: Map<string, Viewer>,
  context: CallContext,
): Entry | undefined {
  const row = messageAt(reader, message);
  if (row === undefined || row.removed !== "") return undefined;
  const space = spaceOf(row.session);
  const viewer = viewers.get(space) ?? context.viewer(space);
  viewers.set(space, viewer);
  if (!context.visible(space) || !mayRead(row, viewer)) return undefined;
  if (isSame(row, viewer)) return undefined;
  return { seq, row, why: whyOf(reader, row, viewer) };
}

function whyOf(reader: Reader, row: MessageRow, viewer: Viewer): Why[] {
  const isIn = (framed: string) => namesOfViewer(viewer).some((name) => framed.includes(`\n${name}\n`));
  return [
    ...(isIn(row.recipients) ? (["addressed"] as const) : []),
    ...(isIn(row.mentions) ? (["mentioned"] as const) : []),
    ...(row.wants_ack === 1 && !hasAcknowledged(reader, row.seq, viewer) ? (["ack_wanted"] as const) : []),
  ];
}
