// event_trim: removes the oldest segments, up to a floor. The leader proposes it (retention.ts); no surface offers it.

import { z } from "zod";
import { write } from "../../operation/define.ts";
import type { Reader, Writer } from "../../store/store.ts";
import { addUsage } from "./append.ts";
import { EVENT_LEVEL, EVENT_ROW_BYTES, eventHead, type SegmentRow } from "./rows.ts";

/** About how many events one command removes. */
export const MAX_TRIMMED = 2048;

/** Removes old events. */
export const eventTrim = write({
  name: "event_trim",
  v: 1,
  level: EVENT_LEVEL,
  internal: true,
  apart: true,
  title: "Remove old events",
  description: "Removes the segments of events up to a floor and keeps the hash of the last.",
  input: z.object({ floor: z.number().int() }),
  output: z.object({ removed: z.number().int() }),
  access: { verb: "admin", spaces: ["fleet"] },
  prepare: (input) => input,
  apply(tx, { floor }) {
    const head = eventHead(tx);
    const last =
      segmentUpTo(tx, Math.min(floor, head.floor + MAX_TRIMMED), head.floor) ?? oldestSegment(tx, head.floor);
    if (last === undefined || last.last > floor) return { output: { removed: 0 }, changes: [] };
    const bytes = freeUsage(tx, last.last);
    tx.run("DELETE FROM event_segments WHERE last <= ?", last.last);
    const removed = tx.run("DELETE FROM events WHERE offset <= ?", last.last).changes;
    tx.run(
      "UPDATE event_head SET floor = ?, floor_hash = ?, floor_seq = ?, bytes = bytes - ? WHERE one = 1",
      ...[last.last, last.hash, last.seq, bytes],
    );
    return { output: { removed }, changes: [] };
  },
});

/** Returns the oldest segment. It goes as a whole, also where it has more events than MAX_TRIMMED. */
export function oldestSegment(reader: Reader, floor: number): SegmentRow | undefined {
  return reader.get<SegmentRow>("SELECT * FROM event_segments WHERE last > ? ORDER BY last LIMIT 1", floor);
}

/** Returns the last segment that ends at or before an offset. */
function segmentUpTo(tx: Writer, upTo: number, floor: number): SegmentRow | undefined {
  return tx.get<SegmentRow>(
    "SELECT * FROM event_segments WHERE last <= ? AND last > ? ORDER BY last DESC LIMIT 1",
    ...[upTo, floor],
  );
}

/** Takes the events up to an offset off the bytes of their callers and spaces, and returns the sum. */
function freeUsage(tx: Writer, upTo: number): number {
  let total = 0;
  for (const kind of ["caller", "space"] as const) {
    const sums = tx.all<{ name: string; bytes: number }>(
      `SELECT ${kind} AS name, SUM(size + ${EVENT_ROW_BYTES}) AS bytes FROM events WHERE offset <= ? GROUP BY ${kind} ORDER BY ${kind}`,
      upTo,
    );
    for (const { name, bytes } of sums) addUsage(tx, { kind, name, bytes: -bytes, limit: 0 });
    if (kind === "space") total = sums.reduce((sum, { bytes }) => sum + bytes, 0);
  }
  tx.run("DELETE FROM event_usage WHERE bytes = 0");
  return total;
}
