// The state hash of a version: what its change row does not name, so that an edit of it is found (replication.md 3).

import { stateHash } from "../../log/state-hash.ts";
import type { VersionRow } from "./rows.ts";

type Covered = Pick<VersionRow, "content_type" | "title" | "tags" | "author" | "via" | "log_time" | "deleted">;

/** Returns the state hash of the change that made this version. */
export function versionState(row: Covered): string {
  return stateHash([row.content_type, row.title, row.tags, row.author, row.via, row.log_time, row.deleted]);
}
