// Contexts and versions as far as a viewer, who may read their space, may read them. What it may not read is not there.

import type { Change } from "../../log/changes.ts";
import { AGENT_LEVEL, levelOf } from "../../log/level.ts";
import type { ChangeRule, Viewer } from "../../operation/viewer.ts";
import { type VisibleSql, visibleSql } from "../../operation/visibility.ts";
import type { Reader } from "../../store/store.ts";
import { AUDIENCE_COLUMNS, type Audience, mayReadRow, VISIBILITY_LEVEL } from "./audience.ts";
import { DETAIL_COLUMNS, DETAILS_LEVEL } from "./details.ts";
import { type ContextRow, floorOf, headNow, storedHead, VERSION_COLUMNS, type VersionRow } from "./rows.ts";

/** Returns the newest state of a context as reads see it; undefined where the viewer may not read it. */
export function headFor(reader: Reader, id: string, viewer: Viewer): ContextRow | undefined {
  return readable(headNow(reader, id), viewer);
}

/** Returns a head if it is there and the viewer may read it. */
export function readable(head: ContextRow | undefined, viewer: Viewer): ContextRow | undefined {
  return head !== undefined && mayReadRow(head, viewer) ? head : undefined;
}

/** Reports whether a viewer that may read a context may read a version of it. */
export function mayReadVersion({ hidden_until = 0 }: ContextRow, row: VersionRow, viewer: Viewer): boolean {
  return row.version > hidden_until || mayReadRow(row, viewer);
}

/** Returns the rule as a condition over rows of `contexts` or `versions`. */
export function readableSql(reader: Reader, viewer: Viewer): VisibleSql {
  if (levelOf(reader) < VISIBILITY_LEVEL) return { sql: "1", values: [] };
  const [caller, agent, type, to] = ["owner", "owner_agent", "owner_type", "recipients"] as const;
  return visibleSql({ visibility: "visibility", caller, agent, type, to }, viewer);
}

/** Returns the versions with a number below `below` that a viewer of the context may read, newest first. */
export function versionsFor(
  reader: Reader,
  { id, hidden_until = 0 }: ContextRow,
  { below, limit }: { below: number; limit: number },
  viewer: Viewer,
): VersionRow[] {
  const isNew = levelOf(reader) >= Math.max(AGENT_LEVEL, DETAILS_LEVEL, VISIBILITY_LEVEL);
  const columns = isNew
    ? [...VERSION_COLUMNS, "client", "agent", ...DETAIL_COLUMNS, ...AUDIENCE_COLUMNS]
    : VERSION_COLUMNS;
  const may = readableSql(reader, viewer);
  return reader.all<VersionRow>(
    `SELECT ${columns.join(", ")} FROM versions WHERE id = ? AND version < ? AND (version > ? OR ${may.sql})
       ORDER BY version DESC LIMIT +?`,
    id,
    below,
    hidden_until,
    ...may.values,
    limit,
  );
}

/** What of a history a viewer that may read the context may read. */
export interface ReadableHistory {
  /** Number of the oldest version; 0 if there is none. */
  floor: number;
  versions: number;
}

/** Returns it. */
export function historyFor(reader: Reader, head: ContextRow, viewer: Viewer): ReadableHistory {
  const { id, version, hidden_until = 0 } = head;
  const kept = floorOf(reader, id);
  // Only the oldest are ever removed, so there is none missing in between.
  if (hidden_until < kept) return { floor: kept, versions: version - kept + 1 };
  const may = readableSql(reader, viewer);
  const older = reader.get<{ floor: number | null; versions: number }>(
    `SELECT MIN(version) AS floor, COUNT(*) AS versions FROM versions WHERE id = ? AND version <= ? AND ${may.sql}`,
    id,
    hidden_until,
    ...may.values,
  );
  return { floor: older?.floor ?? hidden_until + 1, versions: version - hidden_until + (older?.versions ?? 0) };
}

/** Returns the number of the oldest version from which on the viewer may read all that are kept. */
export function readableFrom(reader: Reader, { id, hidden_until = 0 }: ContextRow, viewer: Viewer): number {
  if (hidden_until === 0) return 1;
  const may = readableSql(reader, viewer);
  const last = reader.get<{ version: number | null }>(
    `SELECT MAX(version) AS version FROM versions WHERE id = ? AND version <= ? AND NOT ${may.sql}`,
    id,
    hidden_until,
    ...may.values,
  );
  return (last?.version ?? 0) + 1;
}

/**
 * Reports whether a viewer may see a change of a context: if it may read the context as it is now, and the version as
 * it was written. An edge has no rows; its feed brings only what everyone may see.
 */
export const mayReadChange: ChangeRule = (change, viewer, reader) => {
  const head = storedHead(reader, change.target);
  if (head === undefined) return true;
  if (!mayReadRow(head, viewer)) return false;
  return change.version > (head.hidden_until ?? 0) || mayReadOlder(change, viewer, reader);
};

/** A version that is no longer kept is one that not everyone could read. */
function mayReadOlder({ target, version }: Change, viewer: Viewer, reader: Reader): boolean {
  const row = reader.get<Audience>(
    `SELECT ${AUDIENCE_COLUMNS.join(", ")} FROM versions WHERE id = ? AND version = ?`,
    target,
    version,
  );
  return row !== undefined && mayReadRow(row, viewer);
}
