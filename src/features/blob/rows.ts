// The rows of blobs, their lookup, and how apply changes them.

import { Fault } from "../../lib/fault.ts";
import type { Changed } from "../../log/log.ts";
import { stateHash } from "../../log/state-hash.ts";
import { forgetFree } from "../../operation/blob-references.ts";
import { ROW_BYTES } from "../../operation/usage.ts";
import type { Reader, Writer } from "../../store/store.ts";

/** A row of `blobs`. Times are log times in ms. */
export interface BlobRow {
  space: string;
  sha256: string;
  bytes: number;
  content_type: string;
  /** Full members that should hold it. */
  copies: number;
  author: string;
  /** Name of the agent; "": the caller itself. */
  agent: string;
  /** Seq of the change that added it. */
  seq: number;
  created_at: number;
  /** How long it is kept at least while nothing refers to it. */
  keep_ms: number;
  /** When it is looked at next. */
  check_at: number;
}

/** Returns the blob of a hash in a space. */
export function blobOf(reader: Reader, space: string, sha256: string): BlobRow | undefined {
  return reader.get<BlobRow>("SELECT * FROM blobs WHERE space = ? AND sha256 = ?", space, sha256);
}

/** Returns the blob. Throws Fault `not_found`, which is the same whatever other spaces have. */
export function requireBlob(reader: Reader, space: string, sha256: string): BlobRow {
  const row = blobOf(reader, space, sha256);
  if (row !== undefined) return row;
  throw new Fault("not_found", `There is no blob ${sha256} in the space ${JSON.stringify(space)}`, {
    hint: "List those of the space with blob_list. What nothing refers to is removed after a time (blobs.keep_hours).",
  });
}

/** Reports whether any space has a blob of this hash. */
export function isKnown(reader: Reader, sha256: string): boolean {
  return reader.get("SELECT 1 FROM blobs WHERE sha256 = ? LIMIT 1", sha256) !== undefined;
}

/** Returns the members that hold a blob, as the log says. */
export function holdersOf(reader: Reader, sha256: string): string[] {
  const sql = "SELECT member FROM blob_holders WHERE sha256 = ? ORDER BY member";
  return reader.all<{ member: string }>(sql, sha256).map(({ member }) => member);
}

/** Returns the bytes of blobs of a caller or a space, with what each row counts beside them. */
export function usedBytes(reader: Reader, kind: "caller" | "space", name: string): number {
  const sql = "SELECT bytes FROM blob_usage WHERE kind = ? AND name = ?";
  return reader.get<{ bytes: number }>(sql, kind, name)?.bytes ?? 0;
}

/** Most bytes of blobs by caller and by space; 0: no limit. */
export interface BlobQuota {
  caller_bytes: number;
  space_bytes: number;
}

/**
 * Throws Fault `quota_exceeded` where a blob of so many bytes does not fit any more. `pending`: bytes that have no row
 * yet, which the leader alone knows.
 */
export function refuseQuota(
  reader: Reader,
  { space, author, bytes }: Pick<BlobRow, "space" | "author" | "bytes">,
  quota: BlobQuota,
  pending = { caller: 0, space: 0 },
): void {
  for (const [kind, name, limit] of [
    ["caller", author, quota.caller_bytes],
    ["space", space, quota.space_bytes],
  ] as const) {
    const used = usedBytes(reader, kind, name) + pending[kind];
    if (limit === 0 || used + bytes + ROW_BYTES <= limit) continue;
    const owner = kind === "caller" ? `The caller ${name}` : `The space ${JSON.stringify(name)}`;
    throw new Fault("quota_exceeded", `${owner} has ${used} bytes of blobs; ${bytes} more exceed ${limit}`, {
      hint: `Remove blobs that nothing needs (blob_list, blob_remove), or ask an admin to raise blobs.${kind}_bytes.`,
      details: { quota: `blobs.${kind}_bytes`, limit, used },
    });
  }
}

/** In apply: counts bytes of a blob for its author and its space. */
export function countBytes(tx: Writer, { space, author }: Pick<BlobRow, "space" | "author">, bytes: number): void {
  for (const [kind, name] of [
    ["caller", author],
    ["space", space],
  ] as const) {
    tx.run(
      "INSERT INTO blob_usage (kind, name, bytes) VALUES (?,?,?) " +
        "ON CONFLICT (kind, name) DO UPDATE SET bytes = bytes + excluded.bytes",
      kind,
      name,
      bytes,
    );
    tx.run("DELETE FROM blob_usage WHERE kind = ? AND name = ? AND bytes = 0", kind, name);
  }
}

/** In apply: removes a blob from its space. Members remove the bytes once no space has it (sweep.ts). */
export function removeRow(tx: Writer, row: BlobRow, outcome: "removed" | "purged" | "collected"): Changed {
  tx.run("DELETE FROM blobs WHERE space = ? AND sha256 = ?", row.space, row.sha256);
  forgetFree(tx, row.space, row.sha256);
  countBytes(tx, row, -(row.bytes + ROW_BYTES));
  if (!isKnown(tx, row.sha256)) tx.run("DELETE FROM blob_holders WHERE sha256 = ?", row.sha256);
  return blobChange(row, outcome);
}

/** Returns the change of a blob. Its target is in the space, so who may read that may see it. */
export function blobChange(row: BlobRow, outcome: string): Changed {
  return {
    target: `${row.space}/blob:${row.sha256}`,
    version: 1,
    contentHash: row.sha256,
    outcome,
    state: stateHash([row.space, row.sha256, row.bytes, row.content_type, row.author, row.agent]),
  };
}
