// session_list: the sessions of the spaces that the caller may read, the most recently active first.

import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import { LOOK_AT_ROW, SHOW_ROW } from "../../lib/work.ts";
import { levelOf } from "../../log/level.ts";
import { type CallContext, read } from "../../operation/define.ts";
import { parseNumberCursor } from "../../operation/page-cursor.ts";
import type { Reader } from "../../store/store.ts";
import { readableHidden } from "./hidden.ts";
import { spaceArgument } from "./ids.ts";
import { SESSION_LEVEL, type SessionRow } from "./rows.ts";
import { sessionFor, shownSession } from "./shown.ts";

const MAX_PAGE = 200;
/** Rows read before other work gets a turn. */
const STEP = 500;

interface Wanted {
  space: string | undefined;
  state: string | undefined;
  mine: boolean;
  limit: number;
}

/** Lists sessions. */
export const sessionList = read({
  name: "session_list",
  title: "List sessions",
  search: "find conversations, open discussions, chats, meetings of agents",
  description:
    "Lists the sessions that you may read, the most recently active first, with purpose, state and how many messages you may read in each.",
  input: z.object({
    space: spaceArgument.optional().describe("Only sessions of this space."),
    state: z.enum(["open", "closed"]).optional().describe("Only sessions in this state."),
    mine: z.boolean().optional().describe("Only sessions that you joined or wrote in."),
    limit: z.number().int().min(1).max(MAX_PAGE).optional().describe("At most this many (default 50)."),
    cursor: z.string().min(1).max(32).optional().describe("The cursor of the previous page."),
  }),
  example: { space: "team-a", state: "open" },
  samples: { cursor: "57" },
  output: z.object({
    sessions: z.array(shownSession),
    cursor: z.string().optional().describe("Pass it back for the next page; absent on the last."),
  }),
  access: { verb: "read", spaces: ({ space }) => (space === undefined ? "visible" : [space]) },
  async run(reader, { space, state, mine = false, limit = 50, cursor }, context) {
    // The list of resources of all features asks this too.
    if (levelOf(reader) < SESSION_LEVEL) return { sessions: [] };
    const before = cursor === undefined ? Number.MAX_SAFE_INTEGER : parseNumberCursor(cursor, "sessions");
    const rows = await rowsBefore(reader, before, { space, state, mine, limit: limit + 1 }, context);
    const page = rows.slice(0, limit);
    const last = rows.length > limit ? page.at(-1) : undefined;
    context.spend(SHOW_ROW * page.length);
    const sessions: z.infer<typeof shownSession>[] = [];
    for (const row of page)
      sessions.push(sessionFor(row, await readableHidden(reader, row, context.viewer(row.space), context)));
    return {
      sessions,
      ...(last === undefined ? {} : { cursor: String(last.active_seq) }),
    };
  },
});

async function rowsBefore(
  reader: Reader,
  before: number,
  wanted: Wanted,
  { visible, viewer, spend, signal }: CallContext,
): Promise<SessionRow[]> {
  const found: SessionRow[] = [];
  const { callers, agent = "" } = viewer("default");
  const [caller = "", otherName = caller] = callers;
  for (let at = before; ; ) {
    const rows = reader.all<SessionRow & { is_mine: number }>(
      "SELECT s.*, EXISTS (SELECT 1 FROM session_members p WHERE p.session = s.id AND p.caller IN (?, ?) AND p.agent = ?) AS is_mine " +
        "FROM sessions s WHERE s.active_seq < ? ORDER BY s.active_seq DESC LIMIT +?",
      caller,
      otherName,
      agent,
      at,
      STEP,
    );
    spend(LOOK_AT_ROW * rows.length);
    for (const { is_mine, ...row } of rows) {
      if (!visible(row.space)) continue;
      if (wanted.space !== undefined && row.space !== wanted.space) continue;
      if (wanted.state !== undefined && row.state !== wanted.state) continue;
      if (wanted.mine && is_mine === 0) continue;
      found.push(row);
      if (found.length === wanted.limit) return found;
    }
    const last = rows.at(-1);
    if (rows.length < STEP || last === undefined) return found;
    at = last.active_seq;
    await nextTurn();
    signal.throwIfAborted();
  }
}
