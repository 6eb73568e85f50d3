// The Faults for contexts and versions that cannot be read: never written, deleted, purged, or no longer kept.

import { spaceOf } from "../../access/space.ts";
import { Fault } from "../../lib/fault.ts";
import { appearanceOf } from "../../lib/look-alike.ts";
import type { Reader } from "../../store/store.ts";
import { type ContextRow, floorOf, type StoredVersion, timeOf, versionOf } from "./rows.ts";

/** Ids that are looked through for one that was meant. */
const MAX_COMPARED = 1000;

/** Returns the Fault for a context that was never written. With a reader it names one that looks like it. */
export function missing(id: string, reader?: Reader): Fault {
  const meant = reader && idLike(reader, id);
  return new Fault("not_found", `There is no context ${JSON.stringify(id)}`, {
    hint:
      meant === undefined
        ? "List the contexts to see which exist, or write it."
        : `${JSON.stringify(meant)} looks like it, and is another id. Did you mean that one?`,
  });
}

function idLike(reader: Reader, id: string): string | undefined {
  const appearance = appearanceOf(id);
  return reader
    .all<{ id: string }>("SELECT id FROM contexts WHERE space = ? AND deleted = 0 LIMIT ?", spaceOf(id), MAX_COMPARED)
    .find((row) => appearanceOf(row.id) === appearance)?.id;
}

/** Returns the Fault for a deleted context. */
export function deleted(head: ContextRow): Fault {
  return new Fault("deleted", `The context ${JSON.stringify(head.id)} was deleted by ${head.author}`, {
    hint: `Its last content is version ${head.version - 1}; writing it again creates version ${head.version + 1}.`,
    details: { version: head.version, deleted_at: timeOf(head.updated_at) },
  });
}

/** Returns the Fault for a purged version. */
function purged(id: string, version: number): Fault {
  return new Fault("purged", `The text of version ${version} of ${JSON.stringify(id)} was purged`, {
    hint: "It cannot be recovered; only its hash is kept.",
    details: { version },
  });
}

/** Returns a version with its text. Throws `not_found`, `deleted`, `purged`, `below_floor`. */
export function requireVersion(reader: Reader, head: ContextRow, version: number): StoredVersion {
  const row = versionOf(reader, head.id, version);
  if (row === undefined) throw absent(reader, head, version);
  if (row.purged !== 0) throw purged(head.id, version);
  if (row.deleted !== 0) throw deletedAt(head, row);
  return row;
}

function deletedAt(head: ContextRow, row: StoredVersion): Fault {
  if (row.version === head.version) return deleted(head);
  return new Fault("deleted", `Version ${row.version} of ${JSON.stringify(head.id)} is a deletion by ${row.author}`, {
    hint: `Read another version; the newest is ${head.version}.`,
    details: { version: row.version, deleted_at: timeOf(row.log_time) },
  });
}

function absent(reader: Reader, head: ContextRow, version: number): Fault {
  const id = JSON.stringify(head.id);
  if (version > head.version) {
    return new Fault("not_found", `The context ${id} has no version ${version}; the newest is ${head.version}`, {
      hint: `Give a version from ${floorOf(reader, head.id)} to ${head.version}; its history lists them.`,
    });
  }
  return belowFloor(head.id, floorOf(reader, head.id));
}

/** Returns the Fault for a version that is older than the kept history. */
export function belowFloor(id: string, floor: number): Fault {
  return new Fault("below_floor", `The oldest kept version of ${JSON.stringify(id)} is ${floor}`, {
    hint: "Older versions were removed by the history limits of the space.",
    details: { floor },
  });
}
