// Own events that waited while the log of events was elsewhere are ordered in the replicated log, a few at a time and
// the oldest first; those that come meanwhile wait behind them.

import { z } from "zod";
import { WRITE_ROW } from "../../../lib/work.ts";
import { write } from "../../../operation/define.ts";
import type { Writer } from "../../../store/store.ts";
import { appendRows, MAX_APPENDED } from "../append.ts";
import { EVENT_LEVEL, type EventRow, eventHead } from "../rows.ts";
import { FLEET_ADMIN } from "./arguments.ts";
import { appendsHere, changeOf, waitingRows } from "./place.ts";

/** Takes some. */
export const eventLogTake = write({
  name: "event_log_take",
  v: 1,
  level: EVENT_LEVEL,
  internal: true,
  apart: true,
  title: "Take own events that waited",
  description: "Orders own events that waited while the log of events was elsewhere, where it is the replicated one.",
  input: z.object({}),
  output: z.object({ taken: z.number().int() }),
  access: FLEET_ADMIN,
  work: () => MAX_APPENDED * WRITE_ROW,
  prepare: (input) => input,
  apply(tx, _, stamp) {
    if (!appendsHere(tx)) return { output: { taken: 0 }, changes: [] };
    const taken = takeWaiting(tx, stamp);
    return { output: { taken }, changes: taken === 0 ? [] : [changeOf("taken", taken)] };
  },
});

/** Orders the oldest of them, and returns how many there were; the change is that of the command. */
export function takeWaiting(tx: Writer, { seq, timeMs }: { seq: number; timeMs: number }): number {
  const waiting = waitingRows(tx, MAX_APPENDED);
  tx.run("DELETE FROM event_waiting WHERE n <= ?", waiting.at(-1)?.n ?? 0);
  const head = eventHead(tx);
  // A leader that ended may have sent some to the stream, from which they came along.
  const isNew = ({ source, id }: EventRow) =>
    (tx.get("SELECT 1 FROM events WHERE source = ? AND id = ?", source, id) ?? undefined) === undefined;
  const rows = waiting
    .map(({ event }) => JSON.parse(event) as EventRow)
    .filter(isNew)
    .map((row, index) => ({ ...row, offset: head.tail + index + 1 }));
  if (rows.length > 0) appendRows(tx, head, rows, { seq, timeMs });
  return waiting.length;
}
