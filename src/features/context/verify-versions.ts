// Compares the kept versions with the changes that made them, and the contexts with their versions: parts of
// audit_verify, in small steps between other work.

import { setImmediate as nextTurn } from "node:timers/promises";
import { spaceOf } from "../../access/space.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { READ_BYTE, SHOW_ROW } from "../../lib/work.ts";
import { type ChangeRow, madeOther } from "../../log/change-row.ts";
import type { LatestChanges } from "../../log/latest-changes.ts";
import { levelOf } from "../../log/level.ts";
import type { CallContext } from "../../operation/define.ts";
import type { Reader } from "../../store/store.ts";
import { EMPTY_HASH } from "./append-version.ts";
import { AUDIENCE_COLUMNS, isSameAudience } from "./audience.ts";
import { DETAIL_COLUMNS, DETAILS_LEVEL } from "./details.ts";
import { tagsOf } from "./labels.ts";
import { type StoredVersion, storedHead, textOf, VERSION_FACTS } from "./rows.ts";
import { versionState } from "./version-state.ts";

/** Rows checked before other work gets a turn; their texts may be large. */
const STEP = 50;

interface VersionsReport {
  versions: number;
  problem?: string;
}

type Row = StoredVersion & { rowid: number; id: string };

type Bounds = Pick<CallContext, "signal" | "spend">;

/**
 * Compares every kept version with its change and its context. `latest` knows the changes that were verified. Versions
 * that are written meanwhile are checked too.
 */
export async function verifyVersions(
  reader: Reader,
  latest: LatestChanges,
  { signal, spend }: Bounds,
): Promise<VersionsReport> {
  let after = 0;
  let versions = 0;
  for (;;) {
    signal.throwIfAborted();
    const rows = reader.all<Row>("SELECT rowid, * FROM versions WHERE rowid > ? ORDER BY rowid LIMIT +?", after, STEP);
    latest.catchUp(reader);
    spend(rows.reduce((sum, { size }) => sum + SHOW_ROW + 2 * READ_BYTE * size, 0));
    for (const row of rows) {
      const problem = textProblem(row) ?? chainProblem(reader, row, latest) ?? headProblem(reader, row);
      // The change is named and not the id: a caller who may verify need not be allowed to see every id.
      if (problem !== undefined) return { versions, problem: `the version written by change ${row.seq} ${problem}` };
      versions += 1;
    }
    const last = rows.at(-1);
    if (last === undefined) return { versions };
    after = last.rowid;
    await nextTurn();
  }
}

function textProblem(row: Row): string | undefined {
  if (row.purged !== 0) return row.content.byteLength === 0 ? undefined : "is purged but still has a text";
  try {
    textOf(row);
    return undefined;
  } catch (error) {
    return `cannot be read: ${reasonOf(error)}`;
  }
}

function chainProblem(reader: Reader, row: Row, latest: LatestChanges): string | undefined {
  const change = reader.get<ChangeRow>("SELECT * FROM changes WHERE seq = ?", row.seq);
  if (change === undefined) return row.seq <= latest.floor ? undefined : "has no change: the history was cut";
  const hash = row.deleted !== 0 ? EMPTY_HASH : row.hash;
  const same = change.target === row.id && change.version === row.version && change.content_hash === hash;
  if (!same) return "is not the one that the change names";
  // An imported version has the author, client, agent and time of its origin.
  const isBy = change.caller === row.author && change.via === row.via && change.log_time === row.log_time;
  if (!isBy && change.outcome !== "imported") return "has a different author or time than the change";
  if (change.client !== row.client && change.outcome !== "imported") return "has a different client than the change";
  if ((change.agent ?? "") !== (row.agent ?? "") && change.outcome !== "imported")
    return "has a different agent than the change";
  if (isPurged(row, change, latest)) return undefined;
  if (row.purged !== 0 && change.outcome !== "imported") return "is purged, and no change says so";
  if (row.purged === 0 && Buffer.byteLength(textOf(row)) !== row.size) return "has a different size than its text";
  if (!madeOther(change, versionState(row))) return undefined;
  return "has a different title, tags, type, details, readers, author or time than the change";
}

/** Reports whether a purge after this version took its title and tags, or those that its deletion repeated. */
function isPurged(row: Row, { seq }: ChangeRow, latest: LatestChanges): boolean {
  if (row.title !== "" || row.tags !== "" || row.metadata || row.supersedes || (row.purged === 0 && row.deleted === 0))
    return false;
  return (latest.purged.get(row.id) ?? 0) > seq;
}

function headProblem(reader: Reader, row: Row): string | undefined {
  const head = storedHead(reader, row.id);
  if (head === undefined) return "belongs to no context";
  if (row.version > (head.hidden_until ?? 0) && !isSameAudience(row, head)) return "has other readers than its context";
  if (head.version !== row.version) return head.version > row.version ? undefined : "is newer than its context";
  const facts = [...VERSION_FACTS, "agent", ...DETAIL_COLUMNS, ...AUDIENCE_COLUMNS] as const;
  const isSame = facts.every((column) => head[column] === row[column]) && head.updated_at === row.log_time;
  if (!isSame) return "differs from the state of its context";
  const isIndexed = tagsOf(head.supersedes ?? "").every((id) => isSuccessor(reader, id, head.id));
  return isIndexed ? undefined : "supersedes a context that does not say so";
}

function isSuccessor(reader: Reader, id: string, successor: string): boolean {
  return reader.get("SELECT 1 FROM superseded WHERE id = ? AND successor = ?", id, successor) !== undefined;
}

interface Succession {
  id: string;
  successor: string;
}

/** Returns the first context that is said to be superseded by one that does not say so. */
export async function verifySuccessors(reader: Reader, { signal, spend }: Bounds): Promise<string | undefined> {
  if (levelOf(reader) < DETAILS_LEVEL) return undefined;
  let after: Succession = { id: "", successor: "" };
  for (;;) {
    signal.throwIfAborted();
    const rows = reader.all<Succession>(
      "SELECT id, successor FROM superseded WHERE (id, successor) > (?, ?) ORDER BY id, successor LIMIT +?",
      after.id,
      after.successor,
      STEP,
    );
    spend(SHOW_ROW * rows.length);
    for (const { id, successor } of rows)
      if (!tagsOf(storedHead(reader, successor)?.supersedes ?? "").includes(id))
        return "a context is superseded by one that does not say so";
    const last = rows.at(-1);
    if (last === undefined) return undefined;
    after = last;
    await nextTurn();
  }
}

interface Kept {
  id: string;
  space: string;
  version: number;
  oldest: number | null;
  newest: number;
  kept: number;
}

/**
 * Returns the first context that lacks its newest version, or one between the oldest and the newest: history limits
 * remove only the oldest ones.
 */
export async function verifyContexts(reader: Reader, { signal, spend }: Bounds): Promise<string | undefined> {
  let after = "";
  for (;;) {
    signal.throwIfAborted();
    const rows = reader.all<Kept>(
      `SELECT c.id AS id, c.space AS space, c.version AS version, MIN(v.version) AS oldest, MAX(v.version) AS newest, COUNT(v.version) AS kept
         FROM (SELECT id, space, version FROM contexts WHERE id > ? ORDER BY id LIMIT +?) c LEFT JOIN versions v ON v.id = c.id GROUP BY c.id ORDER BY c.id`,
      after,
      STEP,
    );
    spend(SHOW_ROW * rows.length);
    for (const { id, space, version, oldest, newest, kept } of rows) {
      if (spaceOf(id) !== space) return `a context at version ${version} has the space of another`;
      if (oldest === null || newest !== version) return `the newest version of a context, ${version}, is missing`;
      if (kept !== newest - oldest + 1) return `a version of a context between ${oldest} and ${newest} is missing`;
    }
    const last = rows.at(-1);
    if (last === undefined) return undefined;
    after = last.id;
    await nextTurn();
  }
}
