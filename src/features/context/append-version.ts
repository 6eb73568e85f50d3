// Adds a version to a context, in apply: writes the row and the new head, prunes by the history limits and counts
// usage. The log runs all of it in the command's savepoint, so a Fault undoes it.

import { spaceOf } from "../../access/space.ts";
import { timeOf } from "../../lib/time-of.ts";
import { REMOVE_BYTE, WRITE_BYTE, WRITE_ROW } from "../../lib/work.ts";
import { AGENT_LEVEL, CLIENT_LEVEL } from "../../log/level.ts";
import type { Changed, Stamp } from "../../log/log.ts";
import { noteBlobReferences } from "../../operation/blob-references.ts";
import type { ApplyStamp } from "../../operation/define.ts";
import { NO_QUOTA, UsageDelta } from "../../operation/usage.ts";
import type { Writer } from "../../store/store.ts";
import { AUDIENCE_COLUMNS, type Audience, isSameAudience, PUBLIC, VISIBILITY_LEVEL } from "./audience.ts";
import { etagOf } from "./context-etag.ts";
import { DETAIL_COLUMNS, DETAILS_LEVEL, type Details, NO_DETAILS } from "./details.ts";
import type { Document } from "./document.ts";
import { CONTEXT_COLUMNS, type ContextRow, PLAIN, VERSION_COLUMNS, type VersionRow } from "./rows.ts";
import type { StampedLimits } from "./stamped-limits.ts";
import { writeSuperseded } from "./supersede.ts";
import { costOf, costSql } from "./usage.ts";
import { versionState } from "./version-state.ts";

/** SHA-256 of no bytes: the hash of a tombstone. */
export const EMPTY_HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/**
 * Least weight in bytes of a command that works on a whole stored document: four fit an entry, since the document may
 * have grown since the command was weighed.
 */
export const WHOLE_DOCUMENT = 64 * 1024;

/** Fleet level from which on the outcome of a write names the type: kept outcomes are replicated state. */
const TYPE_IN_OUTCOME_LEVEL = 3;

/** Most versions that one write removes; maintenance.ts proposes the removal of the rest. */
const MAX_PRUNED = 16;

/** A version to be written. */
export interface NextVersion {
  id: string;
  /** The present head (`headAt`), which may be a tombstone; undefined: there has never been one. */
  head: ContextRow | undefined;
  document: Document;
  title: string;
  /** Framed, see `framedTags`. */
  tags: string;
  details: Details;
  audience: Audience;
  /** Outcome of the change where the context exists; left out: `updated`. */
  outcome?: string;
}

/** What writing a version returns: the operation's output and its changes, that of the version first. */
export interface Appended {
  output: { id: string; version: number; etag: string; created: boolean; content_type?: string; updated_at: string };
  changes: Changed[];
}

/** Writes the next version with its text. Throws `quota_exceeded`. */
export function appendVersion(tx: Writer, next: NextVersion, keep: StampedLimits, stamp: ApplyStamp): Appended {
  const { id, head, document, details, audience } = next;
  stamp.work.spend(workOfWrite(document.size));
  const living = head?.deleted === 0 ? head : undefined;
  const row: ContextRow = {
    id,
    space: spaceOf(id),
    version: (head?.version ?? 0) + 1,
    hash: document.hash,
    content_type: document.contentType,
    title: next.title,
    tags: next.tags,
    size: document.size,
    author: stamp.caller,
    ...agentColumn(stamp, stamp.level),
    created_at: living?.created_at ?? stamp.timeMs,
    updated_at: stamp.timeMs,
    deleted: 0,
    ...detailColumns(details, stamp.level),
    ...audienceColumns(audience, head, stamp.level),
  };
  const usage = new UsageDelta(row.space);
  usage.add(stamp.caller, costOf(row));
  const written = versionRow(row, stamp);
  insertVersion(tx, id, written, document.text);
  writeHead(tx, row);
  const others = writeSuperseded(tx, row, head, stamp);
  prune(tx, row, keep, stamp, usage);
  usage.write(tx, keep);
  const changed = {
    target: id,
    version: row.version,
    contentHash: row.hash,
    outcome: living === undefined ? "created" : (next.outcome ?? "updated"),
    state: versionState(written),
  };
  return {
    output: {
      id,
      version: row.version,
      etag: etagOf(row.version, row.hash),
      created: living === undefined,
      ...(stamp.level >= TYPE_IN_OUTCOME_LEVEL ? { content_type: row.content_type } : {}),
      updated_at: timeOf(stamp.timeMs),
    },
    changes: [changed, ...others],
  };
}

/** Returns the units of work for writing a version with a text of so many bytes. */
export function workOfWrite(bytes: number): number {
  return WRITE_ROW + WRITE_BYTE * bytes;
}

/**
 * Writes a tombstone as the next version. Returns the new head, and the changes with that of the tombstone first. Where
 * the outcome is `expired` it keeps the time, else it has no details.
 */
export function appendTombstone(
  tx: Writer,
  head: ContextRow,
  outcome: "deleted" | "expired" | "purged",
  keep: StampedLimits,
  stamp: ApplyStamp,
): { row: ContextRow; changes: Changed[] } {
  stamp.work.spend(WRITE_ROW);
  const row: ContextRow = {
    ...head,
    version: head.version + 1,
    hash: EMPTY_HASH,
    size: 0,
    author: stamp.caller,
    ...agentColumn(stamp, stamp.level),
    updated_at: stamp.timeMs,
    deleted: 1,
    ...detailColumns({ ...NO_DETAILS, expires_at: outcome === "expired" ? (head.expires_at ?? 0) : 0 }, stamp.level),
  };
  const usage = new UsageDelta(row.space);
  usage.add(stamp.caller, costOf(row));
  const written = versionRow(row, stamp);
  insertVersion(tx, row.id, written, "");
  writeHead(tx, row);
  const others = writeSuperseded(tx, row, head, stamp);
  prune(tx, row, keep, stamp, usage);
  // A deletion adds the bytes of a row, but callers above their quota must be able to delete.
  usage.write(tx, NO_QUOTA);
  const { id: target, version } = row;
  const changed = { target, version, contentHash: EMPTY_HASH, outcome, state: versionState(written) };
  return { row, changes: [changed, ...others] };
}

/** Returns details as parts of a row, whose table has them from a fleet level on. */
export function detailColumns(details: Details, level: number): Partial<Details> {
  return level >= DETAILS_LEVEL ? details : {};
}

/** Returns readers as parts of the head after `head`, whose table has them from a fleet level on. */
export function audienceColumns(
  audience: Audience,
  head: ContextRow | undefined,
  level: number,
): Partial<Audience> & Pick<ContextRow, "hidden_until"> {
  if (level < VISIBILITY_LEVEL) return {};
  const isOther = head !== undefined && !isSameAudience(head, audience);
  return { ...audience, hidden_until: isOther ? head.version : (head?.hidden_until ?? 0) };
}

function versionRow(row: ContextRow, stamp: Stamp): VersionRow {
  const { seq, via, timeMs, level } = stamp;
  return { ...row, seq, via, log_time: timeMs, purged: 0, ...claimColumns(stamp, level) };
}

/** Returns client and agent as parts of a `VersionRow`, whose table has them from a fleet level on. */
export function claimColumns(
  { client = "", agent = "" }: { client?: string; agent?: string },
  level: number,
): Pick<VersionRow, "client" | "agent"> {
  return level >= Math.max(CLIENT_LEVEL, AGENT_LEVEL) ? { client, agent } : {};
}

/** Returns the agent as a part of a head, whose table has it from a fleet level on. */
export function agentColumn({ agent = "" }: { agent?: string }, level: number): Pick<ContextRow, "agent"> {
  return level >= AGENT_LEVEL ? { agent } : {};
}

// Statements of apply are part of the log's format: the running digest covers their text (log/running-digest.ts).
const INSERT_VERSION = insertOf(VERSION_COLUMNS);
const INSERT_WHOLE = insertOf([...VERSION_COLUMNS, "client", "agent", ...DETAIL_COLUMNS, ...AUDIENCE_COLUMNS]);
const WRITE_HEAD = headOf(CONTEXT_COLUMNS);
const WRITE_WHOLE_HEAD = headOf([...CONTEXT_COLUMNS, ...DETAIL_COLUMNS, ...AUDIENCE_COLUMNS, "hidden_until", "agent"]);

/** Inserts one row of `versions`, its text uncompressed. Claims, details and readers are there from one level on. */
export function insertVersion(tx: Writer, id: string, row: VersionRow, text: string): void {
  const values = VERSION_COLUMNS.map((column) => row[column]);
  const content = Buffer.from(text, "utf8");
  if (row.client === undefined) tx.run(INSERT_VERSION, id, ...values, content);
  else tx.run(INSERT_WHOLE, id, ...values, row.client, row.agent ?? "", ...detailsIn(row), ...audienceIn(row), content);
}

function audienceIn(row: Partial<Audience>): string[] {
  return AUDIENCE_COLUMNS.map((column) => row[column] ?? PUBLIC[column]);
}

function detailsIn({ expires_at, metadata, supersedes }: Partial<Details>): [number, string, string] {
  return [expires_at ?? 0, metadata ?? "", supersedes ?? ""];
}

function insertOf(columns: readonly string[]): string {
  const places = columns.map(() => "?").join(",");
  return `INSERT INTO versions (id, ${columns.join(", ")}, encoding, content) VALUES (?,${places},${PLAIN},?)`;
}

function headOf(columns: readonly string[]): string {
  const set = columns.filter((column) => column !== "id" && column !== "space");
  return (
    `INSERT INTO contexts (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(",")}) ` +
    `ON CONFLICT (id) DO UPDATE SET ${set.map((column) => `${column} = excluded.${column}`).join(", ")}`
  );
}

/** Writes `row` as the newest state of its context. */
export function writeHead(tx: Writer, row: ContextRow): void {
  const values = CONTEXT_COLUMNS.map((column) => row[column]);
  if (row.metadata === undefined) {
    tx.run(WRITE_HEAD, ...values);
    return;
  }
  tx.run(
    WRITE_WHOLE_HEAD,
    ...[...values, ...detailsIn(row), ...audienceIn(row)],
    ...[row.hidden_until ?? 0, row.agent ?? ""],
  );
  noteBlobReferences(tx, row.id, row.metadata, (row.visibility ?? PUBLIC.visibility) === PUBLIC.visibility);
}

/** Removes versions beyond the limits, oldest first, so that the kept ones have no gap. */
function prune(tx: Writer, head: ContextRow, keep: StampedLimits, stamp: ApplyStamp, usage: UsageDelta): void {
  const below = keep.versions === 0 ? 0 : head.version - keep.versions;
  if (below <= 0 && keep.ageMs === 0) return;
  // Without an age limit only the versions up to `below` can be over it, usually one.
  const last = keep.ageMs === 0 ? below : head.version - 1;
  let removed = 0;
  for (let count = 0; count < MAX_PRUNED; count += 1) {
    const row = tx.get<Pick<VersionRow, "version" | "log_time" | "size">>(
      "SELECT version, log_time, size FROM versions WHERE id = ? AND version > ? AND version <= ? ORDER BY version LIMIT 1",
      head.id,
      removed,
      last,
    );
    if (row === undefined || !isOver(tx, head.id, row, below, keep, stamp.timeMs)) break;
    if (!stamp.work.mayClean(REMOVE_BYTE * row.size)) break;
    removed = row.version;
  }
  if (removed > 0) removeUpTo(tx, head.id, removed, usage, stamp.level);
}

/** Reports whether a version, whose predecessors are all removed, is beyond the limits. */
function isOver(
  tx: Writer,
  id: string,
  { version, log_time }: Pick<VersionRow, "version" | "log_time">,
  below: number,
  { versions, ageMs, keptMs = 0 }: StampedLimits,
  timeMs: number,
): boolean {
  const byCount = version <= below;
  const byAge = ageMs > 0 && log_time < timeMs - ageMs;
  if (keptMs === 0 || !(byCount || byAge)) return byCount || byAge;
  // Beyond a limit already `keptMs` ago: the version that made it so is as old as that.
  const wasWritten = (after: number) => wasWrittenBy(tx, id, version + after, timeMs - keptMs);
  return (byCount && wasWritten(versions)) || (byAge && wasWritten(1));
}

function wasWrittenBy(tx: Writer, id: string, version: number, timeMs: number): boolean {
  const row = tx.get<{ log_time: number }>("SELECT log_time FROM versions WHERE id = ? AND version = ?", id, version);
  return row !== undefined && row.log_time <= timeMs;
}

/** Removes the versions of a context up to and including `version`, at a fleet level. Returns how many there were. */
export function removeUpTo(tx: Writer, id: string, version: number, usage: UsageDelta, level: number): number {
  const gone = tx.all<{ author: string; bytes: number }>(
    `SELECT author, SUM(${costSql(level)}) AS bytes FROM versions WHERE id = ? AND version <= ? GROUP BY author ORDER BY author`,
    id,
    version,
  );
  for (const { author, bytes } of gone) usage.add(author, -bytes);
  return tx.run("DELETE FROM versions WHERE id = ? AND version <= ?", id, version).changes;
}
