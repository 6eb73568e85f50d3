// The rows of events, their segments and the head of the event log, and how they are read.

import { sha256Hex } from "../../lib/sha256.ts";
import { levelOf } from "../../log/level.ts";
import type { Reader } from "../../store/store.ts";

/** The fleet level from which on there are events. */
export const EVENT_LEVEL = 3;

/** What each kept event counts for beside its bytes: its row, its place in the index, its part of a segment. */
export const EVENT_ROW_BYTES = 256;

/** Bytes of events after which no more are read in one step. */
export const STEP_BYTES = 1024 * 1024;

/** What the data of an event is. */
export type DataKind = "none" | "json" | "text" | "base64";

/** A row of `events`. */
export interface EventRow {
  offset: number;
  space: string;
  caller: string;
  agent: string;
  node: string;
  source: string;
  id: string;
  type: string;
  subject: string;
  time: string;
  log_time: number;
  content_type: string;
  attributes: string;
  size: number;
  kind: DataKind;
  data: string;
}

/** A row of `event_segments`. */
export interface SegmentRow {
  last: number;
  first: number;
  seq: number;
  log_time: number;
  bytes: number;
  hash: string;
}

/** The row of `event_head`. */
export interface EventHead {
  tail: number;
  hash: string;
  floor: number;
  floor_hash: string;
  floor_seq: number;
  bytes: number;
}

const EMPTY: EventHead = { tail: 0, hash: "", floor: 0, floor_hash: "", floor_seq: 0, bytes: 0 };

/** Returns the id of the history that the store follows: the name in cursors of the log that is in the tables. */
export function epochOf(reader: Reader): string {
  return reader.get<{ id: string }>("SELECT id FROM epochs ORDER BY n DESC LIMIT 1")?.id ?? "";
}

/** Returns the head of the event log; an empty one below the level of events. */
export function eventHead(reader: Reader): EventHead {
  if (levelOf(reader) < EVENT_LEVEL) return EMPTY;
  return reader.get<EventHead>("SELECT tail, hash, floor, floor_hash, floor_seq, bytes FROM event_head") ?? EMPTY;
}

/** Returns the event at an offset; undefined where none is kept. */
export function eventAt(reader: Reader, offset: number): EventRow | undefined {
  return reader.get<EventRow>("SELECT * FROM events WHERE offset = ?", offset);
}

/** Returns the next events after an offset, oldest first: at most `max`, and no more once they have `STEP_BYTES`. */
export function eventsAfter(reader: Reader, after: number, max: number): EventRow[] {
  return upToBytes(
    reader.iterate<EventRow>("SELECT * FROM events WHERE offset > ? ORDER BY offset LIMIT +?", after, max),
  );
}

/** Returns the events before an offset, newest first, bounded in the same way. */
export function eventsBefore(reader: Reader, before: number, max: number): EventRow[] {
  return upToBytes(
    reader.iterate<EventRow>("SELECT * FROM events WHERE offset < ? ORDER BY offset DESC LIMIT +?", before, max),
  );
}

/** Cuts a step of events once it has `STEP_BYTES`: one may have a megabyte, so their number says little. */
export function upToBytes(found: Iterable<EventRow>): EventRow[] {
  const rows: EventRow[] = [];
  let bytes = 0;
  for (const row of found) {
    rows.push(row);
    bytes += row.size;
    if (bytes >= STEP_BYTES) break;
  }
  return rows;
}

/** Returns all events of a segment; it is one command, which bounds them. */
export function eventsOf(reader: Reader, { first, last }: SegmentRow): EventRow[] {
  return reader.all<EventRow>("SELECT * FROM events WHERE offset BETWEEN ? AND ? ORDER BY offset", first, last);
}

/** Returns the hash of a segment: over that of the one before and every field of its events. */
export function segmentHash(before: string, events: readonly EventRow[]): string {
  return sha256Hex([before, ...events.map(lineOf)].join("\n"));
}

function lineOf(row: EventRow): string {
  const { offset, space, caller, agent, node, source, id, type, subject, time, log_time } = row;
  const { content_type, attributes, size, kind, data } = row;
  const sender = [offset, space, caller, agent, node, source, id, type, subject, time, log_time];
  return JSON.stringify([...sender, content_type, attributes, size, kind, data]);
}
