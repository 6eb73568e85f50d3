// The rows of contexts and versions as the schema has them, how they are found, and the metadata that answers show of them.

import { z } from "zod";
import { sha256Hex } from "../../lib/sha256.ts";
import { DamagedError } from "../../store/damage.ts";
import type { Reader } from "../../store/store.ts";
import { etagOf } from "./context-etag.ts";

export interface ContextRow {
  id: string;
  space: string;
  version: number;
  hash: string;
  content_type: string;
  title: string;
  tags: string;
  size: number;
  author: string;
  created_at: number;
  updated_at: number;
  deleted: number;
}

/** A version without its text. */
export interface VersionRow {
  version: number;
  seq: number;
  hash: string;
  content_type: string;
  title: string;
  tags: string;
  size: number;
  author: string;
  via: string;
  log_time: number;
  deleted: number;
  purged: number;
}

/** A version with its text as this node keeps it. */
export interface StoredVersion extends VersionRow {
  encoding: number;
  content: Uint8Array;
}

const VERSION_COLUMNS =
  "version, seq, hash, content_type, title, tags, size, author, via, log_time, deleted, purged" as const;
export const STORED_COLUMNS = `${VERSION_COLUMNS}, encoding, content` as const;

export function headOf(reader: Reader, id: string): ContextRow | undefined {
  return reader.get<ContextRow>("SELECT * FROM contexts WHERE id = ?", id);
}

export function versionOf(reader: Reader, id: string, version: number): StoredVersion | undefined {
  return reader.get<StoredVersion>(`SELECT ${STORED_COLUMNS} FROM versions WHERE id = ? AND version = ?`, id, version);
}

/** Kept versions below `below`, newest first. */
export function versionsBelow(reader: Reader, id: string, below: number, limit: number): VersionRow[] {
  return reader.all<VersionRow>(
    `SELECT ${VERSION_COLUMNS} FROM versions WHERE id = ? AND version < ? ORDER BY version DESC LIMIT ?`,
    id,
    below,
    limit,
  );
}

/** Number of the oldest kept version. */
export function floorOf(reader: Reader, id: string): number {
  return (
    reader.get<{ floor: number | null }>("SELECT MIN(version) AS floor FROM versions WHERE id = ?", id)?.floor ?? 0
  );
}

/** How a kept text is encoded on this node. */
export const PLAIN = 0;
export const ZSTD = 1;

/** The text of a version (no purged one); throws a DamagedError when its bytes are not those that were hashed. SQLite keeps no checksums of its own. */
export function textOf(row: StoredVersion): string {
  const bytes = row.encoding === ZSTD ? unpacked(row) : row.content;
  if (row.deleted === 0 && sha256Hex(bytes) !== row.hash)
    throw new DamagedError(`the text of version ${row.version} (change ${row.seq}) is not the one that was written`);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

function unpacked(row: StoredVersion): Uint8Array {
  try {
    return Bun.zstdDecompressSync(row.content);
  } catch (error) {
    throw new DamagedError(
      `the text of version ${row.version} (change ${row.seq}) does not decompress: ${String(error)}`,
    );
  }
}

export function framedTags(tags: readonly string[]): string {
  return tags.length === 0 ? "" : `\n${tags.join("\n")}\n`;
}

export function tagsOf(framed: string): string[] {
  return framed === "" ? [] : framed.slice(1, -1).split("\n");
}

export function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}

/** Schema of the metadata of a version, as answers show it. */
export const metadata = z.object({
  id: z.string(),
  version: z.number().int(),
  etag: z.string().describe("Give it as if_match when you write."),
  content_type: z.string(),
  title: z.string(),
  tags: z.array(z.string()),
  size: z.number().int().describe("Bytes of the text."),
  author: z.string().describe("Who wrote this version, as the tailnet proves it."),
  created_at: z.string(),
  updated_at: z.string(),
});

/** Metadata of a context as lists and reads answer it. */
export function metadataOf(row: ContextRow): z.infer<typeof metadata> {
  return shownOf(row.id, row, { createdAt: row.created_at, updatedAt: row.updated_at });
}

/** Metadata of one version; `createdAt` is of its context, in ms. */
export function versionMetadataOf(id: string, row: VersionRow, createdAt: number): z.infer<typeof metadata> {
  return shownOf(id, row, { createdAt, updatedAt: row.log_time });
}

type Described = Pick<VersionRow, "version" | "hash" | "content_type" | "title" | "tags" | "size" | "author">;

function shownOf(
  id: string,
  row: Described,
  { createdAt, updatedAt }: { createdAt: number; updatedAt: number },
): z.infer<typeof metadata> {
  return {
    id,
    version: row.version,
    etag: etagOf(row.version, row.hash),
    content_type: row.content_type,
    title: row.title,
    tags: tagsOf(row.tags),
    size: row.size,
    author: row.author,
    created_at: timeOf(createdAt),
    updated_at: timeOf(updatedAt),
  };
}
