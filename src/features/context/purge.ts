// context_purge: removes texts for good and keeps their hashes, so that the chain stays verifiable (replication.md 3).

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { Fault } from "../../lib/fault.ts";
import { MAX_COMMAND_WORK, REMOVE_BYTE, type Work, WRITE_ROW } from "../../lib/work.ts";
import type { Changed, Effect } from "../../log/log.ts";
import { purgeDeclaration } from "../../operation/declared-rows.ts";
import { type ApplyStamp, write } from "../../operation/define.ts";
import { NO_QUOTA, UsageDelta } from "../../operation/usage.ts";
import type { Writer } from "../../store/store.ts";
import { appendTombstone, WHOLE_DOCUMENT, writeHead } from "./append-version.ts";
import { contextId, idAliases } from "./context-id.ts";
import { DETAILS_LEVEL, type Details } from "./details.ts";
import { type ContextRow, sizeOfVersion, storedHead, type VersionRow } from "./rows.ts";
import { requestedPart, type StampedLimits, stampedLimits } from "./stamped-limits.ts";
import { labelBytes } from "./usage.ts";
import { missing } from "./version-faults.ts";

interface PurgeCommand {
  id: string;
  /** null: all of them. */
  versions: number[] | null;
  keep: StampedLimits;
}

/** Removes texts for good. */
export const contextPurge = write({
  name: "context_purge",
  v: 3,
  level: 3,
  maxWork: MAX_COMMAND_WORK,
  earlier: [
    // Says nothing of the disk.
    { v: 2, level: 2, maxWork: MAX_COMMAND_WORK, apply: purge },
    // Without a limit on its work.
    { v: 1, apply: purge },
  ],
  title: "Purge a context",
  search: "erase a secret for good, remove text from the history",
  description:
    "Permanently removes the text, title, tags and metadata of a context, or of some of its versions, such as a secret that was written by mistake. Hashes, authors and times stay for the audit; reading a purged version fails with `purged`. If the newest version is purged, the context is deleted too. The bytes leave the disks of all members soon after: until then, and while a backup of before still holds them, node_status says where they are.",
  input: z.object({
    id: contextId,
    versions: z
      .array(z.number().int().min(1))
      .min(1)
      .max(1000)
      .optional()
      .describe("Only these versions (default: the whole context)."),
  }),
  example: { id: "team-a/plan" },
  output: z.object({
    id: z.string(),
    purged: z.number().int().describe("How many texts were removed."),
    erasure: z
      .literal("pending")
      .optional()
      .describe("The bytes are still on disks; node_status says when they are gone, and which backups keep them."),
  }),
  access: { verb: "operate", spaces: (input) => [spaceOf(input.id)] },
  hints: { destructive: true, idempotent: true },
  aliases: idAliases,
  target: "id",
  prepare: (input, limits): PurgeCommand => ({
    id: input.id,
    versions: input.versions === undefined ? null : [...new Set(input.versions)].sort((a, b) => a - b),
    keep: stampedLimits(input.id, limits),
  }),
  // A purge may rewrite a whole history.
  weight: () => 4 * WHOLE_DOCUMENT,
  asked: requestedPart,
  apply(tx, command, stamp) {
    const effect = purge(tx, command, stamp);
    return { ...effect, output: { ...effect.output, erasure: "pending" as const } };
  },
});

/** Does the purge, as every version does. */
function purge(
  tx: Writer,
  command: PurgeCommand,
  stamp: ApplyStamp,
): Effect<{ id: string; purged: number; erasure?: "pending" }> {
  const { id, keep } = command;
  const head = storedHead(tx, id);
  if (head === undefined) throw missing(id);
  const usage = new UsageDelta(head.space);
  spendOnPurge(tx, command, stamp.work);
  const versions = command.versions ?? keptVersions(tx, id);
  const purged = versions.filter((version) => purgeOne(tx, id, version, usage, stamp.level)).length;
  clearDeletionLabels(tx, id, command.versions, usage);
  if (purged === 0 && command.versions !== null) {
    throw new Fault("not_found", `${JSON.stringify(id)} has no text to purge in the versions ${versions.join(", ")}`, {
      hint: "context_history shows which versions are kept.",
    });
  }
  purgeDeclaration(tx, id, command.versions, stamp.level);
  usage.write(tx, NO_QUOTA);
  const changes = hidePurged(tx, head, { versions, purgesAll: command.versions === null }, keep, stamp);
  return { output: { id, purged }, changes, purges: true };
}

/** Most rows of a whole context that one purge may change. */
const MAX_ROWS = Math.floor(MAX_COMMAND_WORK / WRITE_ROW);

/** Spends the units of a purge before anything is changed. Throws `too_large`. */
function spendOnPurge(tx: Writer, { id, versions }: PurgeCommand, work: Work): void {
  if (versions !== null) {
    // Beside each version, the deletion that may follow it.
    work.spend(2 * WRITE_ROW * versions.length);
    for (const version of versions) work.spend(REMOVE_BYTE * sizeOfVersion(tx, id, version));
    return;
  }
  const cost = tx.get<{ rows: number; bytes: number | null }>(
    "SELECT COUNT(*) AS rows, SUM(size) AS bytes FROM (SELECT size FROM versions WHERE id = ? ORDER BY version LIMIT +?)",
    id,
    MAX_ROWS + 1,
  );
  work.spend(WRITE_ROW * (cost?.rows ?? 0) + REMOVE_BYTE * (cost?.bytes ?? 0));
}

function keptVersions(tx: Writer, id: string): number[] {
  return tx
    .all<{ version: number }>("SELECT version FROM versions WHERE id = ? AND deleted = 0 ORDER BY version", id)
    .map((row) => row.version);
}

/** Removes text, title, tags, metadata and successions of a version. Returns false if it has no text. */
function purgeOne(tx: Writer, id: string, version: number, usage: UsageDelta, level: number): boolean {
  const hasDetails = level >= DETAILS_LEVEL;
  const row = tx.get<{ author: string; size: number; title: string; tags: string } & Partial<Details>>(
    `SELECT author, size, title, tags${hasDetails ? ", metadata, supersedes" : ""} FROM versions WHERE id = ? AND version = ? AND deleted = 0 AND purged = 0`,
    id,
    version,
  );
  if (row === undefined) return false;
  usage.add(row.author, -row.size - labelBytes(row));
  const details = hasDetails ? ", metadata = '', supersedes = ''" : "";
  tx.run(
    `UPDATE versions SET content = x'', encoding = 0, size = 0, title = '', tags = ''${details}, purged = 1 WHERE id = ? AND version = ?`,
    id,
    version,
  );
  return true;
}

/** Clears title and tags of the tombstones that repeat those of a purged version. */
function clearDeletionLabels(tx: Writer, id: string, versions: readonly number[] | null, usage: UsageDelta): void {
  const select = "SELECT version, author, title, tags FROM versions WHERE id = ? AND deleted = 1";
  const deletions =
    versions === null
      ? tx.all<Deletion>(`${select} ORDER BY version`, id)
      : versions.flatMap((version) => tx.all<Deletion>(`${select} AND version = ?`, id, version + 1));
  for (const row of deletions) {
    usage.add(row.author, -labelBytes(row));
    tx.run("UPDATE versions SET title = '', tags = '' WHERE id = ? AND version = ?", id, row.version);
  }
}

type Deletion = Pick<VersionRow, "version" | "author" | "title" | "tags">;

/**
 * Hides what was purged from lists, watchers and caches: by a tombstone after a purged newest version, or by the old
 * tombstone without title and tags. Returns the changes of the purge.
 */
function hidePurged(
  tx: Writer,
  head: ContextRow,
  { versions, purgesAll }: { versions: readonly number[]; purgesAll: boolean },
  keep: StampedLimits,
  stamp: ApplyStamp,
): Changed[] {
  const bare = { ...head, title: "", tags: "" };
  if (head.deleted === 0 && versions.includes(head.version))
    return appendTombstone(tx, bare, "purged", keep, stamp).changes;
  if (head.deleted !== 0 && (purgesAll || versions.includes(head.version - 1))) writeHead(tx, bare);
  return [{ target: head.id, version: head.version, contentHash: head.hash, outcome: "purged" }];
}
