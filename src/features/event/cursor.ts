// Cursors of the event log as text, `<epoch>-e<offset>`: every event up to the offset was taken. A cursor of a history
// that was left is refused, as positions are (replication.md 1).

import { Fault } from "../../lib/fault.ts";
import type { Reader } from "../../store/store.ts";
import { logPlaces, sharedWith, streamOf } from "./moves/place.ts";
import { type EventHead, epochOf, eventHead } from "./rows.ts";

/** A place in the event log. */
export interface EventCursor {
  epoch: string;
  offset: number;
}

interface EpochRow {
  id: string;
  fork_seq: number;
}

/** Returns the name of the log of events in cursors: the history that the store follows, or a stream. */
export function logNameOf(reader: Reader): string {
  return streamOf(logPlaces(reader))?.id ?? epochOf(reader);
}

/** Returns the cursor after an offset. */
export function cursorText(epoch: string, offset: number): string {
  return `${epoch}-e${offset}`;
}

/** Returns what a text says if it is a cursor. */
export function parseCursor(text: string): EventCursor | undefined {
  const [, epoch, digits] = /^([0-9a-f]{10})-e(0|[1-9][0-9]{0,14})$/.exec(text) ?? [];
  return epoch === undefined || digits === undefined ? undefined : { epoch, offset: Number(digits) };
}

/**
 * Returns the offset of a cursor. Faults: `invalid_input` for what is no cursor or lies ahead of the newest event,
 * `below_floor` with the oldest cursor to go on from, `history_forked`.
 */
export function offsetOf(reader: Reader, text: string): number {
  const cursor = parseCursor(text);
  if (cursor === undefined) throw noCursor(text);
  const { epoch, offset } = cursor;
  const head = eventHead(reader);
  const epochs = reader.all<EpochRow>("SELECT id, fork_seq FROM epochs ORDER BY n");
  const now = epochs.at(-1)?.id ?? "";
  const at = epochs.findIndex(({ id }) => id === epoch);
  const isForked = epochs
    .slice(at + 1)
    .some(({ fork_seq }) => offset > Math.max(head.floor, lastUpTo(reader, fork_seq)));
  const shared = at < 0 ? sharedWith(reader, epoch) : undefined;
  const isOther = shared === undefined ? at < 0 || isForked : offset > shared;
  if (isOther) throw forked(text, cursorText(now, head.floor));
  if (offset < head.floor) throw belowFloor(text, cursorText(now, head.floor));
  if (offset <= head.tail) return offset;
  throw refusedAhead(text, cursorText(now, head.tail));
}

/**
 * Returns the offset of a cursor in a log that is not in the tables. `earlier`: the last offset that it shares with an
 * earlier log of a name. Faults as of `offsetOf`, but for what lies ahead.
 */
export function offsetIn(
  log: { name: string; floor: number },
  text: string,
  earlier: (name: string) => number | undefined,
): number {
  const cursor = parseCursor(text);
  if (cursor === undefined) throw noCursor(text);
  const { epoch, offset } = cursor;
  const oldest = cursorText(log.name, log.floor);
  const last = epoch === log.name ? Number.MAX_SAFE_INTEGER : earlier(epoch);
  if (last === undefined || offset > last) throw forked(text, oldest);
  if (offset < log.floor) throw belowFloor(text, oldest);
  return offset;
}

/** The refusal of a cursor that lies ahead of the newest event. */
export function refusedAhead(text: string, newest: string): Fault {
  return new Fault("invalid_input", `The cursor ${text} is ahead of the newest event here, ${newest}`, {
    hint: "Give a cursor from an earlier answer of this fleet; if another node gave it just now, try again there.",
    details: { field: "since", newest },
  });
}

/** Returns the offset after which the events lie that were appended after a change. Throws Fault `below_floor`. */
export function offsetAfterChange(reader: Reader, seq: number): number {
  const head: EventHead = eventHead(reader);
  if (seq < head.floor_seq) throw belowFloor(`change ${seq}`, cursorText(epochOf(reader), head.floor));
  return Math.max(head.floor, lastUpTo(reader, seq));
}

/** Returns the newest kept offset that was appended up to a change; 0: none. */
function lastUpTo(reader: Reader, seq: number): number {
  const sql = "SELECT last FROM event_segments WHERE seq <= ? ORDER BY seq DESC LIMIT 1";
  return reader.get<{ last: number }>(sql, seq)?.last ?? 0;
}

/** Returns the offset after which the events lie that were ordered at a time or later. */
export function offsetBefore(reader: Reader, timeMs: number): number {
  const sql = "SELECT first FROM event_segments WHERE log_time >= ? ORDER BY log_time, last LIMIT 1";
  const first = reader.get<{ first: number }>(sql, timeMs)?.first;
  return first === undefined ? eventHead(reader).tail : first - 1;
}

/** The refusal of what is no cursor. */
export function noCursor(text: string): Fault {
  return new Fault("invalid_input", `${JSON.stringify(text.slice(0, 80))} is no cursor of events`, {
    hint: "Give a cursor from an earlier answer, such as 3f9a0c12be-e42, or oldest as a beginning.",
    details: { field: "since" },
  });
}

function belowFloor(what: string, oldest: string): Fault {
  return new Fault("below_floor", `The events after ${what} are no longer kept; kept are those after ${oldest}`, {
    hint: `Go on from ${oldest}; what lies between is gone.`,
    details: { oldest },
  });
}

function forked(text: string, oldest: string): Fault {
  return new Fault("history_forked", `The cursor ${text} is of another history than the one that this fleet follows`, {
    hint: `Go on from ${oldest}, the oldest that is kept, or without a cursor.`,
    details: { oldest },
  });
}
