// The messages of a session that are not public, as far as a viewer may read them: what its counts and its list of
// participants have beside the public ones.

import { setImmediate as nextTurn } from "node:timers/promises";
import { LOOK_AT_ROW } from "../../lib/work.ts";
import type { CallContext } from "../../operation/define.ts";
import type { Viewer } from "../../operation/viewer.ts";
import type { Reader } from "../../store/store.ts";
import type { MessageRow, SessionRow } from "./rows.ts";
import { mayRead } from "./viewer.ts";

/** Rows read before other work gets a turn. */
const STEP = 2000;
/** Most rows that are looked at, the newest: what others hide must not make reads costly. */
const MAX_ROWS = 20_000;

/** A count of messages, and the log time of the last in ms; 0 for none. */
export interface Tally {
  count: number;
  lastMs: number;
}

/** What a viewer may read of them, in all and by author (`authorKey`). */
export interface ReadableHidden extends Tally {
  byAuthor: ReadonlyMap<string, Tally>;
}

/** Returns the key of an author. */
export function authorKey({ caller, agent }: { caller: string; agent: string }): string {
  return `${caller}\n${agent}`;
}

/** Counts them, among the newest MAX_ROWS that are not public. */
export async function readableHidden(
  reader: Reader,
  { id, hidden_count }: SessionRow,
  viewer: Viewer,
  { spend, signal }: Pick<CallContext, "spend" | "signal">,
): Promise<ReadableHidden> {
  const byAuthor = new Map<string, Tally>();
  const all = { count: 0, lastMs: 0, byAuthor };
  let before = Number.MAX_SAFE_INTEGER;
  for (let looked = 0; looked < Math.min(hidden_count, MAX_ROWS); looked += STEP) {
    const rows = reader.all<MessageRow>(
      "SELECT * FROM messages WHERE session = ? AND seq < ? AND visibility <> 'public' ORDER BY seq DESC LIMIT +?",
      id,
      before,
      STEP,
    );
    spend(LOOK_AT_ROW * rows.length);
    for (const row of rows) {
      if (!mayRead(row, viewer)) continue;
      const own = byAuthor.get(authorKey(row)) ?? { count: 0, lastMs: row.posted_at };
      byAuthor.set(authorKey(row), { ...own, count: own.count + 1 });
      all.count += 1;
      all.lastMs = Math.max(all.lastMs, row.posted_at);
    }
    const last = rows.at(-1);
    if (rows.length < STEP || last === undefined) break;
    before = last.seq;
    await nextTurn();
    signal.throwIfAborted();
  }
  return all;
}
