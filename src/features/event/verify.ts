// Compares events with the chain of their segments, and that with the changes, in small steps between other work: for
// audit_verify.

import { setImmediate as nextTurn } from "node:timers/promises";
import { READ_BYTE, SHOW_ROW } from "../../lib/work.ts";
import { type ChangeRow, changeOf } from "../../log/change-row.ts";
import { levelOf } from "../../log/level.ts";
import type { RowsCheck } from "../../operation/feature.ts";
import type { Reader } from "../../store/store.ts";
import { eventAppend } from "./append.ts";
import { eventLogCopy } from "./moves/commands.ts";
import { isOwnEventOf, OWN_CALLER, OWN_SOURCE } from "./own.ts";
import { EVENT_LEVEL, type EventRow, eventHead, eventsOf, type SegmentRow, segmentHash } from "./rows.ts";

/** Returns the first segment of events that is not as its hash, the chain, or its change says. */
export const eventProblem: RowsCheck = async (reader, latest, { signal, spend }) => {
  if (levelOf(reader) < EVENT_LEVEL) return undefined;
  const start = eventHead(reader);
  let before = { last: start.floor, hash: start.floor_hash };
  while (before.last < start.tail) {
    signal.throwIfAborted();
    // Retention goes on meanwhile: what it removed was in order as far as it was read.
    const { floor, floor_hash } = eventHead(reader);
    if (floor > before.last) before = { last: floor, hash: floor_hash };
    const segment = segmentAfter(reader, before.last);
    if (segment === undefined) break;
    spend(SHOW_ROW + READ_BYTE * segment.bytes);
    const problem = segmentProblem(reader, segment, before, latest.floor);
    if (problem !== undefined) return problem;
    before = segment;
    await nextTurn();
  }
  const end = eventHead(reader);
  if (before.last > end.floor && end.tail === before.last && end.hash !== before.hash)
    return "the head of the event log does not have the hash of its last segment";
  return before.last < start.tail && end.floor < start.tail ? `the events after ${before.last} are missing` : undefined;
};

function segmentAfter(reader: Reader, last: number): SegmentRow | undefined {
  return reader.get<SegmentRow>("SELECT * FROM event_segments WHERE last > ? ORDER BY last LIMIT 1", last);
}

function segmentProblem(
  reader: Reader,
  segment: SegmentRow,
  before: { last: number; hash: string },
  changesFloor: number,
): string | undefined {
  const what = `the events that change ${segment.seq} published`;
  if (segment.first !== before.last + 1) return `${what} do not follow those before them`;
  const rows = eventsOf(reader, segment);
  const isWhole = rows.length === segment.last - before.last && rows.at(-1)?.offset === segment.last;
  if (!isWhole || segmentHash(before.hash, rows) !== segment.hash) return `${what} do not match their hash`;
  if (segment.seq <= changesFloor) return undefined;
  const change = changeAt(reader, segment.seq);
  const isOwn = rows.every(({ caller, source }) => caller === OWN_CALLER && source === OWN_SOURCE);
  if (change?.operation === eventLogCopy.name)
    return change.content_hash === segment.hash ? undefined : `${what} are not those that the change names`;
  const isSame =
    change?.operation === eventAppend.name
      ? change.content_hash === segment.hash && change.caller === rows[0]?.caller
      : isOwn && rows.every((row) => isOfItsChange(reader, row, segment.seq, changesFloor));
  return isSame ? undefined : `${what} are not those that the change names`;
}

/** An event that Cairn made of a change is as that change is. */
function isOfItsChange(reader: Reader, row: EventRow, last: number, changesFloor: number): boolean {
  const seq = Number(row.id.split("-").at(-1));
  if (!Number.isSafeInteger(seq) || seq > last) return false;
  if (seq <= changesFloor) return true;
  const change = changeAt(reader, seq);
  return change !== undefined && isOwnEventOf(row, changeOf(change));
}

function changeAt(reader: Reader, seq: number): ChangeRow | undefined {
  return reader.get<ChangeRow>("SELECT * FROM changes WHERE seq = ?", seq);
}
