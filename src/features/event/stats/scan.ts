// Reads the events of a range, newest first, in steps between other work, and no more than a bound.

import { ShortTurns } from "../../../lib/short-turns.ts";
import { LOOK_AT_ROW } from "../../../lib/work.ts";
import type { CallContext } from "../../../operation/define.ts";
import type { EventLog, Range, Soon } from "../event-log.ts";
import type { EventRow } from "../rows.ts";

/** Rows that are read before other work gets a turn. */
const STEP = 256;

/** What is read. */
export interface Scan<Row> {
  range: Range;
  /** Most rows. */
  max: number;
  /** Rows before other work gets a turn, where looking at one takes long. */
  step?: number;
  /** Returns rows of a range, newest first, at most so many. */
  read(range: Range, max: number): Soon<readonly Row[]>;
}

/** Returns how whole events are read for a scan: a log may return fewer than were asked for, by their bytes. */
export function wholeEvents(log: EventLog): Scan<EventRow>["read"] {
  return async ({ after, upTo }, max) => {
    const found: EventRow[] = [];
    for (let at = upTo + 1; found.length < max; at = found.at(-1)?.offset ?? 0) {
      const rows = (await log.before(at, max - found.length)).filter(({ offset }) => offset > after);
      if (rows.length === 0) break;
      found.push(...rows);
    }
    return found;
  };
}

/**
 * Calls `look` with each row of a range, the newest first. Returns the offset behind which it looked at all: that of
 * the range, or where `max` rows were read. Rejects when the caller disconnects.
 */
export async function scanDown<Row extends { offset: number }>(
  { range, max, step = STEP, read }: Scan<Row>,
  look: (row: Row) => void,
  { spend, signal, inTurn }: Pick<CallContext, "spend" | "signal" | "inTurn">,
): Promise<number> {
  return inTurn(async () => {
    let at = range.upTo;
    const turns = new ShortTurns();
    for (let left = max; left > 0; left -= step) {
      const most = Math.min(step, left);
      const rows = await read({ after: range.after, upTo: at }, most);
      for (const row of rows) {
        look(row);
        if (turns.isOver) await turns.give();
      }
      spend(LOOK_AT_ROW * rows.length);
      if (rows.length < most) return range.after;
      at = (rows.at(-1)?.offset ?? 1) - 1;
      await turns.give();
      signal.throwIfAborted();
    }
    return at;
  });
}
