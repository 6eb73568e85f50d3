// Cursors of searches: which rows were shown, and as of when the search is. So pages neither repeat a row nor leave one
// out that was there at the first page and is still as it was.

import { z } from "zod";
import { formatPosition, type Position, parsePosition } from "../../log/position.ts";
import { invalidCursor, listCursor, parseListCursor } from "../../operation/page-cursor.ts";

/** Most rows that pages of one search show. */
export const MAX_SHOWN = 250;
const MAX_SEQ = Number.MAX_SAFE_INTEGER;

const shape = z
  .tuple([z.number(), z.string(), z.number()], z.number().int().min(0).max(MAX_SEQ))
  .refine(({ length }) => length <= MAX_SHOWN + 3);

/** Where the next page goes on. */
export interface Page {
  /** Rows written later are not shown. */
  position: Position;
  /** Log time of the first page, in ms: how new rows are is counted from it. */
  nowMs: number;
  /** Seqs of the rows that were shown. */
  shown: readonly number[];
}

/** Returns the cursor of a page of the search for `asked`: its arguments without cursor and limit. */
export function cursorOf(asked: unknown, { position, nowMs, shown }: Page): string {
  const steps = shown.toSorted((a, b) => a - b).map((seq, at, all) => seq - (all[at - 1] ?? 0));
  return listCursor([hashOf(asked), formatPosition(position), nowMs, ...steps]);
}

/** Parses a cursor. Throws Fault `invalid_input` for one of another search, or of another history than `epoch`. */
export function pageOf(cursor: string, asked: unknown, epoch: Position["epoch"]): Page {
  const [hash, text, nowMs, ...steps] = parseListCursor(cursor, shape, LIST);
  const position = positionOf(text);
  if (hash !== hashOf(asked) || position?.epoch !== epoch) throw invalidCursor(cursor, LIST);
  let seq = 0;
  const shown = steps.map((step) => {
    seq += step;
    return seq;
  });
  return { position, nowMs, shown };
}

const LIST = "this search";

function positionOf(text: string): Position | undefined {
  try {
    return parsePosition(text);
  } catch {
    return undefined;
  }
}

function hashOf(asked: unknown): number {
  return Bun.hash.xxHash32(JSON.stringify(asked));
}
