// References of contexts to blobs: the member `blobs` of the metadata names them by SHA-256, in the space of the
// context. Contexts note theirs in apply; features/blob keeps the bytes, and removes what nothing refers to.

import { spaceOf } from "../access/space.ts";
import { isJsonObject } from "../lib/json-value.ts";
import type { Reader, Writer } from "../store/store.ts";

/** The fleet level from which on there are blobs. */
export const BLOB_LEVEL = 3;

/** A SHA-256 as blobs are named. */
export const BLOB_HASH = /^[0-9a-f]{64}$/;

/** Returns the blobs that stored metadata (`metadataText`) refers to, in order. What is no SHA-256 is none. */
export function blobsOf(metadata: string): string[] {
  if (!metadata.includes('"blobs":')) return [];
  const parsed: unknown = JSON.parse(metadata);
  const named = isJsonObject(parsed) ? parsed["blobs"] : undefined;
  const texts = Array.isArray(named) ? named : [named];
  const hashes = texts.filter((text): text is string => typeof text === "string" && BLOB_HASH.test(text));
  return [...new Set(hashes)].sort();
}

/**
 * In apply: notes which blobs the newest version of a context refers to. `metadata`: "" for one that is deleted;
 * `isPublic`: whoever may read the space may read it.
 */
export function noteBlobReferences(tx: Writer, id: string, metadata: string, isPublic: boolean): void {
  const wanted = blobsOf(metadata);
  const shown = isPublic ? 1 : 0;
  const before = tx.all<{ sha256: string; public: number }>(
    "SELECT sha256, public FROM blob_references WHERE id = ? ORDER BY sha256",
    id,
  );
  for (const { sha256, public: was } of before)
    if (was !== shown || !wanted.includes(sha256))
      tx.run("DELETE FROM blob_references WHERE id = ? AND sha256 = ?", id, sha256);
  const space = spaceOf(id);
  for (const sha256 of wanted) {
    if (before.some((each) => each.sha256 === sha256 && each.public === shown)) continue;
    tx.run("INSERT INTO blob_references (id, sha256, space, public) VALUES (?,?,?,?)", id, sha256, space, shown);
    forgetFree(tx, space, sha256);
  }
}

/** Reports whether a context of a space refers to a blob, whoever may read that context. */
export function isReferenced(reader: Reader, space: string, sha256: string): boolean {
  return (
    reader.get("SELECT 1 FROM blob_references WHERE space = ? AND sha256 = ? LIMIT 1", space, sha256) !== undefined
  );
}

/** Returns how many contexts refer to a blob that all readers of the space may read: no count shows another one. */
export function publicReferences(reader: Reader, space: string, sha256: string): number {
  const sql = "SELECT COUNT(*) AS count FROM blob_references WHERE space = ? AND sha256 = ? AND public = 1";
  return reader.get<{ count: number }>(sql, space, sha256)?.count ?? 0;
}

/** Returns since when a blob has been seen without references; undefined: it was not, or got one since. */
export function freeSince(reader: Reader, space: string, sha256: string): number | undefined {
  const sql = "SELECT since FROM blobs_free WHERE space = ? AND sha256 = ?";
  return reader.get<{ since: number }>(sql, space, sha256)?.since;
}

/** In apply: notes that nothing refers to a blob at this log time. */
export function noteFree(tx: Writer, space: string, sha256: string, timeMs: number): void {
  tx.run("INSERT OR IGNORE INTO blobs_free (space, sha256, since) VALUES (?,?,?)", space, sha256, timeMs);
}

/** In apply: forgets that nothing referred to a blob. */
export function forgetFree(tx: Writer, space: string, sha256: string): void {
  tx.run("DELETE FROM blobs_free WHERE space = ? AND sha256 = ?", space, sha256);
}
