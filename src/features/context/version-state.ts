// The state hash of a version: what its change row does not name, so that an edit of it is found (replication.md 3).

import { stateHash } from "../../log/state-hash.ts";
import { AUDIENCE_COLUMNS, type Audience, audienceOf } from "./audience.ts";
import type { VersionRow } from "./rows.ts";

type Facts = "content_type" | "title" | "tags" | "author" | "via" | "log_time" | "deleted" | "client" | "agent";
type Details = "expires_at" | "metadata" | "supersedes";
type Covered = Pick<VersionRow, Facts | Details> & Partial<Audience>;

/** Returns the state hash of the change that made this version. */
export function versionState(row: Covered): string {
  const { content_type, title, tags, author, via, log_time, deleted, client = "", agent = "" } = row;
  const { expires_at = 0, metadata = "", supersedes = "" } = row;
  const details = [expires_at, metadata, supersedes];
  const readers = audienceOf(row);
  const audience = AUDIENCE_COLUMNS.map((column) => readers[column]);
  const facts = [content_type, title, tags, author, via, log_time, deleted, client, agent];
  return stateHash([...facts, ...details, ...audience]);
}
