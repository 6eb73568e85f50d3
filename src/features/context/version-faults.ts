// The Faults for contexts and versions that cannot be read: never written, deleted, purged, or no longer kept.

import { spaceOf } from "../../access/space.ts";
import { authorText } from "../../lib/author-text.ts";
import { Fault } from "../../lib/fault.ts";
import { appearanceOf } from "../../lib/look-alike.ts";
import { timeOf } from "../../lib/time-of.ts";
import type { Viewer } from "../../operation/viewer.ts";
import { DamagedError } from "../../store/damage.ts";
import type { Reader } from "../../store/store.ts";
import { historyFor, mayReadVersion, readableSql } from "./readable.ts";
import { type ContextRow, type StoredVersion, thereSql, versionOf } from "./rows.ts";

/** Ids that are looked through for one that was meant. */
const MAX_COMPARED = 1000;

/**
 * Returns the Fault for a context that was never written, or that the caller may not read. For who looks for one it
 * names another that looks like it.
 */
export function missing(id: string, looking?: { reader: Reader; viewer: Viewer }): Fault {
  const meant = looking && idLike(looking.reader, id, looking.viewer);
  return new Fault("not_found", `There is no context ${JSON.stringify(id)}`, {
    hint:
      meant === undefined
        ? "List the contexts to see which exist, or write it."
        : `${JSON.stringify(meant)} looks like it, and is another id. Did you mean that one?`,
  });
}

function idLike(reader: Reader, id: string, viewer: Viewer): string | undefined {
  const appearance = appearanceOf(id);
  const there = thereSql(reader);
  const may = readableSql(reader, viewer);
  const sql = `SELECT id FROM contexts WHERE space = ? AND ${there.sql} AND ${may.sql} LIMIT +?`;
  return reader
    .all<{ id: string }>(sql, spaceOf(id), ...there.values, ...may.values, MAX_COMPARED)
    .find((row) => appearanceOf(row.id) === appearance)?.id;
}

/** Returns the Fault for a context that was deleted or has expired. */
export function deleted({ id, version, updated_at, expires_at: until = 0, isLapsed, ...by }: ContextRow): Fault {
  const how = until === 0 ? `was deleted by ${authorText(by)}` : `expired at ${timeOf(until)}`;
  const last = isLapsed === true ? version : version - 1;
  return new Fault("deleted", `The context ${JSON.stringify(id)} ${how}`, {
    hint: `Its last content is version ${last}; writing it again creates version ${version + 1}.`,
    details: { version, deleted_at: timeOf(until === 0 ? updated_at : until) },
  });
}

/** Returns the Fault for a purged version. */
function purged(id: string, version: number): Fault {
  return new Fault("purged", `The text of version ${version} of ${JSON.stringify(id)} was purged`, {
    hint: "It cannot be recovered; only its hash is kept.",
    details: { version },
  });
}

/** Returns the newest version with its text. Throws `deleted`, `purged`. */
export function requireNewest(reader: Reader, head: ContextRow, viewer: Viewer): StoredVersion {
  if (head.isLapsed === true) throw deleted(head);
  return requireVersion(reader, head, head.version, viewer);
}

/**
 * Returns a version with its text, of a context that the viewer may read. Throws `not_found`, `deleted`, `purged`,
 * `below_floor`, and DamagedError where the newest is missing, which is always kept.
 */
export function requireVersion(reader: Reader, head: ContextRow, version: number, viewer: Viewer): StoredVersion {
  const row = versionOf(reader, head.id, version);
  if (row === undefined || !mayReadVersion(head, row, viewer)) throw absent(reader, head, version, viewer);
  if (row.purged !== 0) throw purged(head.id, version);
  if (row.deleted !== 0) throw deletedAt(head, row);
  return row;
}

function deletedAt(head: ContextRow, row: StoredVersion): Fault {
  if (row.version === head.version) return deleted(head);
  const what = row.expires_at ? "is the end of its time" : `is a deletion by ${authorText(row)}`;
  return new Fault("deleted", `Version ${row.version} of ${JSON.stringify(head.id)} ${what}`, {
    hint: `Read another version; the newest is ${head.version}.`,
    details: { version: row.version, deleted_at: timeOf(row.log_time) },
  });
}

function absent(reader: Reader, head: ContextRow, version: number, viewer: Viewer): Error {
  if (version === head.version) return new DamagedError(`version ${version}, the newest of a context, is missing`);
  const { floor } = historyFor(reader, head, viewer);
  const id = JSON.stringify(head.id);
  if (version > head.version) {
    return new Fault("not_found", `The context ${id} has no version ${version}; the newest is ${head.version}`, {
      hint: `Give a version from ${floor} to ${head.version}; its history lists them.`,
    });
  }
  if (version < floor) return belowFloor(head.id, floor);
  return new Fault("not_found", `The context ${id} has no version ${version} that you may read`, {
    hint: "Its history lists those that you may read.",
  });
}

/** Returns the Fault for a version that is older than the kept history. */
export function belowFloor(id: string, floor: number): Fault {
  return new Fault("below_floor", `The oldest kept version of ${JSON.stringify(id)} is ${floor}`, {
    hint: "Older versions were removed by the history limits of the space.",
    details: { floor },
  });
}
