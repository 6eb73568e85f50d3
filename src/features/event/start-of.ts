// Where a reader of events begins: behind a cursor, behind a position, or at a time.

import { isPosition } from "../../log/position.ts";
import type { CallContext } from "../../operation/define.ts";
import { noCursor, parseCursor } from "./cursor.ts";
import type { Soon } from "./event-log.ts";
import type { EventFeed } from "./feed.ts";

/** How long a node that is behind another one waits for the event of a cursor, in ms. */
const MAX_BEHIND_MS = 2000;
/** What stands for the place before the oldest kept event, in every argument that is a beginning. */
const OLDEST = "oldest";

/**
 * Returns the offset of a cursor; of `oldest`, that before the oldest kept event; or of a position, after which the
 * events lie that were ordered after it. Waits up to 2 s for what this node does not have yet. Faults of
 * `EventLog.judge` and `CallContext.reach`.
 */
export async function offsetSince(
  feed: EventFeed,
  since: string,
  { reach, signal }: Pick<CallContext, "reach" | "signal">,
): Promise<number> {
  if (since === OLDEST) return feed.log.head().floor;
  if (isPosition(since)) return feed.log.offsetAfterChange(await reach(since));
  const cursor = parseCursor(since);
  if (cursor === undefined) throw noCursor(since);
  await feed.wait(cursor.offset - 1, signal, AbortSignal.timeout(MAX_BEHIND_MS));
  return feed.log.judge(since);
}

/** Returns the offset behind which the events lie that were ordered at a time or later. */
export function offsetAt({ log }: EventFeed, time: string): Soon<number> {
  return log.offsetBefore(Date.parse(time));
}
