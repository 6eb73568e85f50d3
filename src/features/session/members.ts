// Who takes part in a session, in apply: whoever joined it, and whoever wrote in it.

import { Fault } from "../../lib/fault.ts";
import type { Stamp } from "../../log/log.ts";
import type { Reader, Writer } from "../../store/store.ts";

/** Most participants of a session. */
export const MAX_PARTICIPANTS = 10_000;

/** A row of `session_members`. */
export interface MemberRow {
  session: string;
  caller: string;
  agent: string;
  joined: number;
  public_count: number;
  public_at: number;
  hidden_count: number;
}

/** Returns the row of whoever a command acts as. */
export function memberOf(reader: Reader, session: string, { caller, agent = "" }: Stamp): MemberRow | undefined {
  return reader.get<MemberRow>(
    "SELECT * FROM session_members WHERE session = ? AND caller = ? AND agent = ?",
    session,
    caller,
    agent,
  );
}

/** Writes what has become of a participant. Throws Fault `quota_exceeded` for one too many. */
export function noteMember(
  tx: Writer,
  session: string,
  stamp: Stamp,
  what: "joined" | "posted" | "posted hidden",
): void {
  const before = memberOf(tx, session, stamp);
  if (before === undefined) refuseFull(tx, session);
  const row = before ?? { joined: 0, public_count: 0, public_at: 0, hidden_count: 0 };
  const isPublic = what === "posted";
  tx.run(
    "INSERT OR REPLACE INTO session_members (session, caller, agent, joined, public_count, public_at, hidden_count) " +
      "VALUES (?,?,?,?,?,?,?)",
    session,
    stamp.caller,
    stamp.agent ?? "",
    what === "joined" ? 1 : row.joined,
    row.public_count + (isPublic ? 1 : 0),
    isPublic ? stamp.timeMs : row.public_at,
    row.hidden_count + (what === "posted hidden" ? 1 : 0),
  );
}

function refuseFull(reader: Reader, session: string): void {
  const count = reader.get<{ n: number }>("SELECT COUNT(*) AS n FROM session_members WHERE session = ?", session);
  if ((count?.n ?? 0) < MAX_PARTICIPANTS) return;
  throw new Fault("quota_exceeded", `${session} has ${MAX_PARTICIPANTS} participants, which is the limit`, {
    hint: "Begin another session.",
    details: { limit: MAX_PARTICIPANTS },
  });
}
