// message_wait: returns when something happens to messages after a position, so that agents need not poll. Streams use
// it too. What lies behind is read from the tables, which outlive the feed; what comes is read from the feed.

import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { LOOK_AT_ROW } from "../../lib/work.ts";
import type { Change } from "../../log/changes.ts";
import { type CallContext, DEFAULT_WAIT_SECONDS, read } from "../../operation/define.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import { positionArgument, refuseWaitArguments, timeoutSeconds } from "../../operation/wait-arguments.ts";
import type { Reader } from "../../store/store.ts";
import { changeFor, isAboutMessages } from "./changes.ts";
import { sessionAliases, sessionId } from "./ids.ts";
import { SESSION_LEVEL, sessionOf } from "./rows.ts";
import { MAX_LISTED_TEXT, MessagesFor, shownMessage } from "./shown.ts";
import { isSame } from "./viewer.ts";

const MAX_EVENTS = 100;
/** Changes read before other work gets a turn. */
const STEP = 512;
/** Most steps over what lies behind: where the caller may know of little, it gets a position to go on from. */
const MAX_STEPS = 40;

const event = shownMessage.extend({
  event: z.enum(["posted", "edited", "retracted", "purged", "acknowledged"]),
  by: z.string().describe("The agent or caller that did it."),
  at: z.string().describe("Position of the event."),
});

const input = z.object({
  session: sessionId.optional().describe("Only this session (default: every session of the spaces that you may read)."),
  since: positionArgument.optional().describe("Events after this position (default: from now on)."),
  timeout_seconds: timeoutSeconds,
  limit: z.number().int().min(1).max(MAX_EVENTS).optional().describe("At most this many events (default 100)."),
  own: z.boolean().optional().describe("Also what you do yourself (default: only what others do)."),
});

/** Waits for messages. */
export const messageWait = read({
  name: "message_wait",
  title: "Wait for messages",
  search: "wait for a reply, listen, watch a session, new messages, poll",
  description:
    "Waits until others post, edit, retract or acknowledge messages that you may read, in one session or in all, and returns the messages; after timeout_seconds without any it returns none and timed_out true. To go on, call it again with the returned position as since: nothing is missed, on whichever node. Use it instead of repeated reads.",
  input,
  example: { session: "team-a/session_0123456789abcdef", timeout_seconds: 1 },
  samples: { since: "1f3a9c0b22-7" },
  output: z.object({
    events: z.array(event).describe("Oldest first, each with the message as it is now."),
    position: z.string().describe("Pass it as since of the next call."),
    timed_out: z.boolean().describe("Nothing came in this time. False without events: call it again at once."),
  }),
  access: { verb: "read", spaces: ({ session }) => (session === undefined ? "visible" : [spaceOf(session)]) },
  waits: true,
  aliases: { ...sessionAliases, timeout: "timeout_seconds", position: "since", after: "since" },
  async run(
    reader,
    { session, since, timeout_seconds = DEFAULT_WAIT_SECONDS, limit = MAX_EVENTS, own = false },
    context,
  ) {
    refuseBelowLevel(reader, SESSION_LEVEL, "message_wait");
    if (session !== undefined) sessionOf(reader, session);
    const held = context.holdWait();
    try {
      const at = since === undefined ? context.position().seq : await context.reach(since);
      const deadline = AbortSignal.timeout(timeout_seconds * 1000);
      const signal = AbortSignal.any([context.signal, held.signal]);
      const found = await collect(reader, { session, own, after: at, limit, deadline, signal }, context);
      return {
        events: found.events,
        position: context.positionAt(found.seq),
        timed_out: found.isWhole && found.events.length === 0,
      };
    } finally {
      held.release();
    }
  },
  followsTables: true,
  waitShape: { items: "events", at: "at", next: "position", eventName: "change" },
  follow({ session, since, own = false, ...given }, context, reader) {
    refuseWaitArguments(given);
    refuseBelowLevel(reader, SESSION_LEVEL, "message_wait");
    if (session !== undefined) sessionOf(reader, session);
    return { since, show: (change) => eventOf(reader, change, { session, own }, context) };
  },
});

/** Which events are wanted. */
interface Wanted {
  session: string | undefined;
  own: boolean;
}

type Event = z.infer<typeof event>;

interface Collecting extends Wanted {
  after: number;
  limit: number;
  deadline: AbortSignal;
  signal: AbortSignal;
}

/**
 * Waits for the first event, then adds those that are there already. `seq`: every event up to it was returned.
 * `isWhole`: it is not one to go on from at once.
 */
async function collect(
  reader: Reader,
  { session, own, after, limit, deadline, signal }: Collecting,
  context: CallContext,
): Promise<{ events: Event[]; seq: number; isWhole: boolean }> {
  const events: Event[] = [];
  // Opened before the tables are read, so that nothing falls between the two.
  const cursor = context.changes.cursor();
  const end = context.position().seq;
  let seq = after;
  for (let steps = 1; seq < end; steps += 1) {
    const past = seqsBetween(reader, session, seq, end);
    context.spend(LOOK_AT_ROW * past.length);
    for (const each of past) {
      seq = each;
      const found = eventAt(reader, each, own, context);
      if (found !== undefined) events.push(found);
      if (events.length === limit) return { events, seq, isWhole: false };
    }
    if (past.length < STEP) seq = end;
    else if (steps === MAX_STEPS) return { events, seq, isWhole: false };
    else await nextTurn();
    signal.throwIfAborted();
  }
  for (;;) {
    const batch = cursor.next(STEP);
    for (const change of batch) {
      if (change.seq <= seq) continue;
      seq = change.seq;
      const found = eventOf(reader, change, { session, own }, context);
      if (found !== undefined) events.push(found);
      if (events.length === limit) return { events, seq, isWhole: false };
    }
    signal.throwIfAborted();
    if (deadline.aborted || (events.length > 0 && batch.length < STEP)) return { events, seq, isWhole: true };
    if (batch.length === STEP) await nextTurn();
    else await cursor.wait(signal, deadline);
  }
}

/** Returns the first changes of messages after a seq. */
function seqsBetween(reader: Reader, session: string | undefined, after: number, end: number): number[] {
  const [only, values] = session === undefined ? ["", []] : ["session = ? AND ", [session]];
  const part = (table: string) => `SELECT seq FROM ${table} WHERE ${only}seq > ? AND seq <= ?`;
  const sql = `${part("messages")} UNION ALL ${part("message_changes")} ORDER BY seq LIMIT +?`;
  const rows = reader.all<{ seq: number }>(sql, ...values, after, end, ...values, after, end, STEP);
  return rows.map(({ seq }) => seq);
}

/** Returns the event of a change of the feed; undefined where it is not wanted, or the caller may not know of it. */
function eventOf(reader: Reader, change: Change, { session, own }: Wanted, context: CallContext): Event | undefined {
  if (!isAboutMessages(change.operation) || (session ?? change.target) !== change.target) return undefined;
  return eventAt(reader, change.seq, own, context);
}

function eventAt(reader: Reader, seq: number, own: boolean, context: CallContext): Event | undefined {
  const changed = changeFor(reader, seq, context);
  if (changed === undefined) return undefined;
  const { row, event, by } = changed;
  const viewer = context.viewer(spaceOf(row.session));
  if (!own && isSame(by, viewer)) return undefined;
  const shown = new MessagesFor(reader, viewer, context).show(row, MAX_LISTED_TEXT);
  return { event, by: by.agent || by.caller, at: context.positionAt(seq), ...shown };
}
