// Reads the events of a range, newest first, in steps between other work, and no more than a bound.

import { ShortTurns } from "../../../lib/short-turns.ts";
import { LOOK_AT_ROW } from "../../../lib/work.ts";
import type { CallContext } from "../../../operation/define.ts";
import type { Reader } from "../../../store/store.ts";

/** Rows that are read before other work gets a turn. */
const STEP = 256;

/** What is read. */
export interface Scan {
  columns: string;
  range: Range;
  /** Most rows. */
  max: number;
  /** Rows before other work gets a turn, where looking at one takes long. */
  step?: number;
}

/** A range of offsets: after the one, up to the other. */
export interface Range {
  after: number;
  upTo: number;
}

/**
 * Calls `look` with each row of a range, the newest first. Returns the offset behind which it looked at all: that of
 * the range, or where `max` rows were read. Rejects when the caller disconnects.
 */
export async function scanDown<Row extends { offset: number }>(
  reader: Reader,
  { columns, range, max, step = STEP }: Scan,
  look: (row: Row) => void,
  { spend, signal, inTurn }: Pick<CallContext, "spend" | "signal" | "inTurn">,
): Promise<number> {
  const sql = `SELECT ${columns} FROM events WHERE offset <= ? AND offset > ? ORDER BY offset DESC LIMIT ?`;
  return inTurn(async () => {
    let at = range.upTo;
    const turns = new ShortTurns();
    for (let left = max; left > 0; left -= step) {
      const most = Math.min(step, left);
      const rows = reader.all<Row>(sql, at, range.after, most);
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
