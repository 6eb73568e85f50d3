// The rows of the tables `contexts` and `versions`, their lookup, and the metadata that operations return.

import { z } from "zod";
import { sha256Hex } from "../../lib/sha256.ts";
import { timeOf } from "../../lib/time-of.ts";
import { levelOf } from "../../log/level.ts";
import { isExpired, stateTimeMs } from "../../log/log-time.ts";
import { DamagedError } from "../../store/damage.ts";
import type { Reader } from "../../store/store.ts";
import { AUDIENCE_COLUMNS, type Audience, audienceShown, shownAudience } from "./audience.ts";
import { etagOf } from "./context-etag.ts";
import { DETAILS_LEVEL, type Details, detailsShown, shownDetails } from "./details.ts";
import { tagsOf } from "./labels.ts";

/** What a context repeats from its newest version; details and readers are missing below their fleet level. */
export interface VersionFacts extends Partial<Details>, Partial<Audience> {
  version: number;
  /** Hex SHA-256 of the text. */
  hash: string;
  content_type: string;
  title: string;
  /** Framed, see `framedTags`. */
  tags: string;
  /** Bytes of the text. */
  size: number;
  author: string;
  /** 1 for a tombstone. */
  deleted: number;
  /** The agent as which the author acted, or ""; missing below its fleet level, and where not selected. */
  agent?: string;
}

/** A row of `contexts`: the newest state of a context, also of a deleted one. Times are log times in ms. */
export interface ContextRow extends VersionFacts {
  id: string;
  space: string;
  created_at: number;
  updated_at: number;
  /** The newest version that has other readers than the newest one; 0: none. Missing below its fleet level. */
  hidden_until?: number;
  /** As `headAt` returns it: it has expired, and no tombstone says so yet. It counts as deleted. */
  isLapsed?: true;
}

/** A row of `versions` without its text. */
export interface VersionRow extends VersionFacts {
  /** The change that wrote it. */
  seq: number;
  /** The member that forwarded the write, or "". */
  via: string;
  /** Log time of the write in ms; for an imported version that of its origin. */
  log_time: number;
  /** 1 if the text was removed for good. */
  purged: number;
  /** What the client of the author said of itself, or ""; missing below its fleet level, and where not selected. */
  client?: string;
}

/** A row of `versions` with its text as this node stores it, plain or compressed. */
export interface StoredVersion extends VersionRow {
  encoding: number;
  content: Uint8Array;
}

/** Columns of `VersionFacts` at every fleet level. */
export const VERSION_FACTS = ["version", "hash", "content_type", "title", "tags", "size", "author", "deleted"] as const;
// The order of these columns is part of the statements in append-version.ts, and so of the log's format.
/** Columns of a `ContextRow`. */
export const CONTEXT_COLUMNS = [
  "id",
  "space",
  "version",
  "hash",
  "content_type",
  "title",
  "tags",
  "size",
  "author",
  "created_at",
  "updated_at",
  "deleted",
] as const;
/** Columns of a `VersionRow` at every fleet level. */
export const VERSION_COLUMNS = [
  "version",
  "seq",
  "hash",
  "content_type",
  "title",
  "tags",
  "size",
  "author",
  "via",
  "log_time",
  "deleted",
  "purged",
] as const;

/** Returns the newest state of a context as it is stored, which may be a tombstone, or have expired. */
export function storedHead(reader: Reader, id: string): ContextRow | undefined {
  return reader.get<ContextRow>("SELECT * FROM contexts WHERE id = ?", id);
}

/** Returns the newest state of a context at a log time, in apply that of the stamp. What has expired is deleted. */
export function headAt(reader: Reader, id: string, timeMs: number): ContextRow | undefined {
  const row = storedHead(reader, id);
  return row !== undefined && isLapsed(row, timeMs) ? { ...row, deleted: 1, isLapsed: true } : row;
}

/** Returns the newest state of a context as reads see it. What has expired is deleted. */
export function headNow(reader: Reader, id: string): ContextRow | undefined {
  const row = storedHead(reader, id);
  if (row === undefined || !row.expires_at || row.deleted !== 0) return row;
  return isLapsed(row, stateTimeMs(reader)) ? { ...row, deleted: 1, isLapsed: true } : row;
}

function isLapsed({ deleted, expires_at: until = 0 }: ContextRow, timeMs: number): boolean {
  return deleted === 0 && isExpired(until, timeMs);
}

/** A condition of a WHERE clause over `contexts`, with its values: those that are there as reads see them. */
export interface ThereSql {
  sql: string;
  values: number[];
}

/** Returns the condition for the state of a reader. */
export function thereSql(reader: Reader): ThereSql {
  if (levelOf(reader) < DETAILS_LEVEL) return { sql: "deleted = 0", values: [] };
  return { sql: "deleted = 0 AND (expires_at = 0 OR expires_at > ?)", values: [stateTimeMs(reader)] };
}

/** Most successors that are shown of one context. */
const MAX_SHOWN = 16;

/**
 * A condition over rows `s` of `contexts`, which supersede the row `t`. One that not everyone may read counts only for
 * what the same may read: otherwise it would be shown to others. One for everyone counts, for what not everyone may
 * read, only where its author owns that: another one could hide a context by guessing its id.
 */
export const SUCCEEDS_FOR_ALL =
  "((s.visibility = 'public' AND (COALESCE(t.visibility, 'public') = 'public' OR s.author = t.owner)) OR " +
  `(${AUDIENCE_COLUMNS.map((column) => `s.${column} = t.${column}`).join(" AND ")}))`;

/**
 * Returns the ids of contexts that supersede one and may be read by all its readers, in order; from the fleet level of
 * details on.
 */
export function successorsOf(reader: Reader, id: string): string[] {
  return reader
    .all<{ successor: string }>(
      `SELECT i.successor AS successor FROM superseded i JOIN contexts s ON s.id = i.successor
         LEFT JOIN contexts t ON t.id = i.id
         WHERE i.id = ? AND ${SUCCEEDS_FOR_ALL} ORDER BY i.successor LIMIT +?`,
      id,
      MAX_SHOWN,
    )
    .map(({ successor }) => successor);
}

/** Returns one kept version. */
export function versionOf(reader: Reader, id: string, version: number): StoredVersion | undefined {
  return reader.get<StoredVersion>("SELECT * FROM versions WHERE id = ? AND version = ?", id, version);
}

/** Returns the newest version of a context; undefined where there is none, it is a deletion, or it is purged. */
export function newestText(reader: Reader, id: string): StoredVersion | undefined {
  const head = headNow(reader, id);
  const row = head?.deleted === 0 ? versionOf(reader, id, head.version) : undefined;
  return row?.purged === 0 ? row : undefined;
}

/** Returns the bytes of the text of a kept version; 0 if there is none. */
export function sizeOfVersion(reader: Reader, id: string, version: number): number {
  return reader.get<{ size: number }>("SELECT size FROM versions WHERE id = ? AND version = ?", id, version)?.size ?? 0;
}

/** Returns the number of the oldest kept version; 0 if there is none. */
export function floorOf(reader: Reader, id: string): number {
  return (
    reader.get<{ floor: number | null }>("SELECT MIN(version) AS floor FROM versions WHERE id = ?", id)?.floor ?? 0
  );
}

/** `encoding` of an uncompressed text. */
export const PLAIN = 0;
/** `encoding` of a text that this node compressed. */
export const ZSTD = 1;

/**
 * Returns the text of a version that is not purged; "" for a tombstone. Throws a DamagedError if it does not match its
 * hash: SQLite has no checksums of its own.
 */
export function textOf(row: StoredVersion): string {
  const bytes = row.encoding === ZSTD ? decompress(row) : row.content;
  if (row.deleted === 0 && sha256Hex(bytes) !== row.hash)
    throw new DamagedError(`the text of version ${row.version} (change ${row.seq}) is not the one that was written`);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

function decompress(row: StoredVersion): Uint8Array {
  try {
    return Bun.zstdDecompressSync(row.content);
  } catch (error) {
    throw new DamagedError(
      `the text of version ${row.version} (change ${row.seq}) does not decompress: ${String(error)}`,
    );
  }
}

/** Schema of the claim of a client beside a verified author or caller. */
export const clientSaid = z
  .string()
  .optional()
  .describe("Name and version as said by the client, never verified; absent where it said none.");

/** Schema of the agent beside a verified author or caller. */
export const agentActed = z
  .string()
  .optional()
  .describe("Name of the agent as which that caller acted; absent where it acted itself.");

/** Schema of the metadata of a version. */
export const metadata = z.object({
  id: z.string(),
  version: z.number().int(),
  etag: z.string().describe("Pass it as if_match when you write."),
  content_type: z.string(),
  title: z.string(),
  tags: z.array(z.string()),
  size: z.number().int().describe("Bytes of the text."),
  author: z.string().describe("Who wrote this version, verified by the tailnet."),
  agent: agentActed,
  created_at: z.string(),
  updated_at: z.string(),
  ...shownDetails,
  ...shownAudience,
  superseded_by: z
    .array(z.string())
    .optional()
    .describe("Ids of contexts that replace this one: read those. Absent where there is none."),
});

/** Returns the metadata of the newest version of a context. */
export function metadataOf(reader: Reader, row: ContextRow): z.infer<typeof metadata> {
  const shown = toMetadata(row.id, row, { createdAt: row.created_at, updatedAt: row.updated_at });
  return { ...shown, ...successorsShown(reader, row) };
}

/** Returns the metadata of one version of a context. */
export function versionMetadataOf(reader: Reader, head: ContextRow, row: VersionRow): z.infer<typeof metadata> {
  const shown = toMetadata(head.id, row, { createdAt: head.created_at, updatedAt: row.log_time });
  return { ...shown, ...(row.version === head.version ? successorsShown(reader, head) : {}) };
}

function successorsShown(reader: Reader, { id, deleted, supersedes }: ContextRow): { superseded_by?: string[] } {
  const successors = deleted !== 0 || supersedes === undefined ? [] : successorsOf(reader, id);
  return successors.length === 0 ? {} : { superseded_by: successors };
}

function toMetadata(
  id: string,
  row: VersionFacts,
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
    ...(row.agent ? { agent: row.agent } : {}),
    created_at: timeOf(createdAt),
    updated_at: timeOf(updatedAt),
    ...detailsShown(row),
    ...audienceShown(row),
  };
}
