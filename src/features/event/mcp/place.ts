// Where a subscription of MCP Events begins: where its cursor says, or later, which `truncated` says.

import { z } from "zod";
import { Fault } from "../../../lib/fault.ts";
import type { CallContext } from "../../../operation/define.ts";
import { cursorArgument } from "../arguments.ts";
import type { EventFeed } from "../feed.ts";
import { offsetSince } from "../start-of.ts";

/** The longest time that may be asked for, in ms: a year. */
const MAX_AGE_MS = 366 * 86_400_000;

/** Arguments that say where a subscription begins. */
export const placeArguments = {
  cursor: cursorArgument.optional().describe("Events after this cursor."),
  max_age_ms: z
    .number()
    .int()
    .min(0)
    .max(MAX_AGE_MS)
    .optional()
    .describe("With cursor: leaves out what was ordered longer ago than this."),
};

/** Where a subscription begins. */
export interface Begins {
  /** Events after this offset. */
  at: number;
  /** It begins later than the cursor says: events may have been passed over. */
  truncated: boolean;
}

export interface PlaceParts {
  feed: EventFeed;
  nowMs: number;
}

/**
 * Returns where a subscription begins; without a cursor: now. A cursor that retention passed, or of another history,
 * begins with the oldest event that is kept. Faults: `invalid_input` for what is no cursor or lies ahead.
 */
export async function beginsAt(
  { feed, nowMs }: PlaceParts,
  { cursor, max_age_ms: maxAgeMs }: { cursor?: string | undefined; max_age_ms?: number | undefined },
  context: Pick<CallContext, "reach" | "signal">,
): Promise<Begins> {
  if (cursor === undefined) return { at: feed.log.head().tail, truncated: false };
  const { at, truncated } = await kept(feed, cursor, context);
  const youngest = maxAgeMs === undefined ? at : await feed.log.offsetBefore(nowMs - maxAgeMs);
  return youngest > at ? { at: youngest, truncated: true } : { at, truncated };
}

async function kept(feed: EventFeed, cursor: string, context: Pick<CallContext, "reach" | "signal">): Promise<Begins> {
  try {
    return { at: await offsetSince(feed, cursor, context), truncated: false };
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    if (error.code === "below_floor" || error.code === "history_forked")
      return { at: feed.log.head().floor, truncated: true };
    throw error.code === "invalid_input" ? error.retold(error.message, { details: { field: "cursor" } }) : error;
  }
}
