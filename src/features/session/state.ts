// session_join, session_close and session_reopen: what becomes of a session beside its messages.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { WRITE_ROW } from "../../lib/work.ts";
import type { Effect } from "../../log/log.ts";
import { type ApplyStamp, write } from "../../operation/define.ts";
import type { Writer } from "../../store/store.ts";
import { sessionChange } from "./create.ts";
import { sessionAliases, sessionId } from "./ids.ts";
import { memberOf, noteMember } from "./members.ts";
import { SESSION_LEVEL, type SessionRow, sessionOf } from "./rows.ts";

const EXAMPLE = { session: "team-a/session_0123456789abcdef" };
const common = {
  v: 1,
  level: SESSION_LEVEL,
  input: z.object({ session: sessionId }),
  example: EXAMPLE,
  access: { verb: "write", spaces: ({ session }: { session: string }) => [spaceOf(session)] },
  hints: { idempotent: true },
  aliases: sessionAliases,
  target: "session",
  work: () => 2 * WRITE_ROW,
  prepare: ({ session }: { session: string }) => ({ session }),
} as const;

/** Enters a session. */
export const sessionJoin = write({
  ...common,
  name: "session_join",
  title: "Join a session",
  search: "enter a conversation, take part, participants, say that I am here",
  description:
    "Puts you among the participants of a session, so that others see that you are there. Reading and writing need no join.",
  output: z.object({ session: z.string(), joined: z.boolean().describe("False: you were a participant already.") }),
  apply(tx, { session }, stamp) {
    const row = sessionOf(tx, session);
    if (memberOf(tx, session, stamp)?.joined === 1) return { output: { session, joined: false }, changes: [] };
    noteMember(tx, session, stamp, "joined");
    tx.run("UPDATE sessions SET active_seq = ? WHERE id = ?", stamp.seq, session);
    return { output: { session, joined: true }, changes: [sessionChange(row, "joined")] };
  },
});

const stateOutput = z.object({ session: z.string(), state: z.enum(["open", "closed"]), changed: z.boolean() });

/** Ends a session. */
export const sessionClose = write({
  ...common,
  name: "session_close",
  title: "Close a session",
  search: "end a conversation, finish a discussion, archive a chat",
  description:
    "Closes a session: no message can be posted or edited in it until it is opened again. It stays readable, and what is in it can be acknowledged and retracted.",
  output: stateOutput,
  apply: (tx, { session }, stamp) => become(tx, session, "closed", stamp),
});

/** Opens a session again. */
export const sessionReopen = write({
  ...common,
  name: "session_reopen",
  title: "Reopen a session",
  search: "continue a closed conversation, resume a discussion",
  description: "Opens a closed session again.",
  output: stateOutput,
  apply: (tx, { session }, stamp) => become(tx, session, "open", stamp),
});

function become(
  tx: Writer,
  session: string,
  state: SessionRow["state"],
  stamp: ApplyStamp,
): Effect<z.output<typeof stateOutput>> {
  const row = sessionOf(tx, session);
  if (row.state === state) return { output: { session, state, changed: false }, changes: [] };
  tx.run(
    "UPDATE sessions SET state = ?, state_caller = ?, state_agent = ?, state_at = ?, active_seq = ? WHERE id = ?",
    state,
    stamp.caller,
    stamp.agent ?? "",
    stamp.timeMs,
    stamp.seq,
    session,
  );
  const outcome = state === "open" ? "reopened" : "closed";
  return { output: { session, state, changed: true }, changes: [sessionChange({ ...row, state }, outcome)] };
}
