// Compares sessions, and messages with every version of their texts, with the changes that made them, in small steps
// between other work: for audit_verify.

import { setImmediate as nextTurn } from "node:timers/promises";
import { sha256Hex } from "../../lib/sha256.ts";
import { READ_BYTE, SHOW_ROW } from "../../lib/work.ts";
import { type ChangeRow, madeOther } from "../../log/change-row.ts";
import { levelOf } from "../../log/level.ts";
import type { RowsCheck } from "../../operation/feature.ts";
import type { Reader } from "../../store/store.ts";
import { sessionChange } from "./create.ts";
import { messagePost } from "./post.ts";
import { type MessageRow, SESSION_LEVEL, type SessionRow, type VersionRow } from "./rows.ts";
import { messageChange } from "./write-message.ts";

/** Rows checked before other work gets a turn; their texts may be large. */
const STEP = 50;
/** Changes looked at before other work gets a turn. */
const CHANGES = 2_000;

/** Returns the first session, text or message that is not as the changes say. */
export const sessionProblem: RowsCheck = async (reader, latest, bounds) => {
  if (levelOf(reader) < SESSION_LEVEL) return undefined;
  return (
    (await inSteps(reader, bounds, SESSIONS, (row: SessionRow & Placed) => {
      // The target of a purge of a message is its session, too: only one of the session leaves no purpose.
      const isPurged = row.purpose === "" && latest.purged.has(row.id);
      return row.seq <= latest.floor || isPurged ? undefined : createdProblem(reader, row);
    })) ??
    (await inSteps(reader, bounds, VERSIONS, (row: MessageVersion) => versionProblem(reader, row, latest.floor))) ??
    (await missingProblem(reader, latest.floor, bounds))
  );
};

interface Placed {
  place: number;
  bytes: number;
}

type MessageVersion = VersionRow & Placed & { newest: number; removed: MessageRow["removed"]; session: string };

/** Sessions have no rowid, and their place is the change that made each. */
const SESSIONS = "SELECT *, seq AS place, 0 AS bytes FROM sessions WHERE seq > ? ORDER BY seq LIMIT +?";
const VERSIONS =
  "SELECT v.*, v.rowid AS place, length(v.text) AS bytes, m.version AS newest, m.removed AS removed, m.session AS session " +
  "FROM message_versions v JOIN messages m ON m.seq = v.message WHERE v.rowid > ? ORDER BY v.rowid LIMIT +?";

/** Runs a check over the rows of a statement, which takes the place after which it begins, and how many. */
async function inSteps<Row extends Placed>(
  reader: Reader,
  { signal, spend }: Parameters<RowsCheck>[2],
  sql: string,
  check: (row: Row) => string | undefined,
): Promise<string | undefined> {
  for (let after = 0; ; ) {
    signal.throwIfAborted();
    const rows = reader.all<Row>(sql, after, STEP);
    spend(rows.reduce((sum, { bytes }) => sum + SHOW_ROW + 2 * READ_BYTE * bytes, 0));
    for (const row of rows) {
      const problem = check(row);
      if (problem !== undefined) return problem;
    }
    const last = rows.at(-1);
    if (last === undefined) return undefined;
    after = last.place;
    await nextTurn();
  }
}

function changeAt(reader: Reader, seq: number): ChangeRow | undefined {
  return reader.get<ChangeRow>("SELECT * FROM changes WHERE seq = ?", seq);
}

function createdProblem(reader: Reader, row: SessionRow): string | undefined {
  const change = changeAt(reader, row.seq);
  const created = sessionChange({ ...row, state: "open" }, "created");
  const same = change?.target === created.target && change.outcome === created.outcome && change.caller === row.caller;
  return same && !madeOther(change, created.state ?? "")
    ? undefined
    : `the session of change ${row.seq} is not as it was created`;
}

function versionProblem(reader: Reader, row: MessageVersion, floor: number): string | undefined {
  const what = `the text of a message written by change ${row.seq}`;
  if (row.removed === "" ? sha256Hex(row.text) !== row.hash : row.text !== "") return `${what} does not match its hash`;
  if (row.seq <= floor) return undefined;
  const change = changeAt(reader, row.seq);
  const same = change?.target === row.session && change.version === row.version && change.content_hash === row.hash;
  if (!same) return `${what} is not the one that the change names`;
  if (row.version !== row.newest) return undefined;
  const message = reader.get<MessageRow>("SELECT * FROM messages WHERE seq = ?", row.message);
  if (message === undefined) return `${what} belongs to no message`;
  return message.removed === "" ? newestProblem(message, row, change) : removalProblem(reader, message, floor);
}

function newestProblem(message: MessageRow, version: VersionRow, change: ChangeRow): string | undefined {
  const made = messageChange(message, version.hash, version.metadata, "posted");
  const isBy = version.version > 1 || (change.caller === message.caller && change.agent === message.agent);
  return madeOther(change, made.state ?? "") || !isBy
    ? `the message is not as change ${version.seq} made it`
    : undefined;
}

/** A message is removed by a change alone. */
function removalProblem(reader: Reader, message: MessageRow, floor: number): string | undefined {
  const noted = reader.get<{ seq: number }>(
    "SELECT seq FROM message_changes WHERE message = ? AND event = ? ORDER BY seq DESC LIMIT 1",
    message.seq,
    message.removed,
  );
  if (noted !== undefined && noted.seq <= floor) return undefined;
  const change = noted && changeAt(reader, noted.seq);
  const made = messageChange(message, "", "", message.removed === "purged" ? "purged" : "retracted");
  const same = change !== undefined && change.outcome === made.outcome && change.target === message.session;
  return same && !madeOther(change, made.state ?? "")
    ? undefined
    : `the message of change ${message.seq} was removed by no change`;
}

/** Returns the first change that posted a message which is not there, or whose texts are not. */
async function missingProblem(
  reader: Reader,
  floor: number,
  { signal, spend }: Parameters<RowsCheck>[2],
): Promise<string | undefined> {
  const head = reader.get<{ seq: number }>("SELECT seq FROM head")?.seq ?? 0;
  for (let after = floor; after < head; after += CHANGES) {
    signal.throwIfAborted();
    spend(SHOW_ROW);
    const missing = reader.get<{ seq: number }>(
      "SELECT c.seq AS seq FROM changes c WHERE c.seq > ? AND c.seq <= ? AND c.operation = ? AND NOT EXISTS " +
        "(SELECT 1 FROM messages m JOIN message_versions v ON v.message = m.seq AND v.version = m.version WHERE m.seq = c.seq) " +
        "ORDER BY c.seq LIMIT 1",
      after,
      Math.min(head, after + CHANGES),
      messagePost.name,
    );
    if (missing !== undefined) return `the message posted by change ${missing.seq} is missing`;
    await nextTurn();
  }
  return undefined;
}
