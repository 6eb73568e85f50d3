// Reads a bounded page of chosen events, oldest or newest first, in steps between other work.

import { setImmediate as nextTurn } from "node:timers/promises";
import { LOOK_AT_ROW, READ_BYTE, SHOW_ROW } from "../../lib/work.ts";
import type { CallContext } from "../../operation/define.ts";
import type { Soon } from "./event-log.ts";
import { type EventRow, STEP_BYTES } from "./rows.ts";

/** Events read before other work gets a turn. */
const STEP = 256;
/** Most steps of one page: where little of it is wanted, its caller gets a cursor to go on from. */
const MAX_STEPS = 80;
/** About how many bytes of events a page has, unless a single one is larger. */
const PAGE_BYTES = 1024 * 1024;

/** What is read of the log. */
export interface Page<Found> {
  found: Found[];
  /** Every chosen event up to this offset was returned (or from it on, newest first). */
  at: number;
  /** Whether there may be more behind it now. */
  more: boolean;
}

/** Where the events of a page come from. */
export interface PageSource<Found> {
  /** Returns the next events of the direction of the page: at most `max`, and no more once they have `STEP_BYTES`. */
  next(at: number, max: number): Soon<readonly Found[]>;
  rowOf(found: Found): EventRow;
  isChosen(row: EventRow): boolean;
}

/** Reads a page. `at`: the offset behind which it begins. Rejects when the caller disconnects. */
export async function readPage<Found>(
  { next, rowOf, isChosen }: PageSource<Found>,
  at: number,
  limit: number,
  { spend, signal }: Pick<CallContext, "spend" | "signal">,
): Promise<Page<Found>> {
  const found: Found[] = [];
  let bytes = 0;
  for (let steps = 1; ; steps += 1) {
    const step = await next(at, STEP);
    const stepBytes = step.reduce((sum, each) => sum + rowOf(each).size, 0);
    const isLast = step.length < STEP && stepBytes < STEP_BYTES;
    if (!isLast) spend(LOOK_AT_ROW * step.length + READ_BYTE * stepBytes);
    for (const each of step) {
      const row = rowOf(each);
      // Retention removed what is between: the next page is refused by its cursor.
      if (row.offset > at + 1) return { found, at, more: true };
      const isWanted = isChosen(row);
      if (isWanted && found.length > 0 && bytes + row.size > PAGE_BYTES) return { found, at, more: true };
      at = row.offset;
      if (!isWanted) continue;
      found.push(each);
      bytes += row.size;
      spend(SHOW_ROW + READ_BYTE * row.size);
      if (found.length === limit) return { found, at, more: true };
    }
    if (isLast) return { found, at, more: false };
    if (steps === MAX_STEPS) return { found, at, more: true };
    await nextTurn();
    signal.throwIfAborted();
  }
}
