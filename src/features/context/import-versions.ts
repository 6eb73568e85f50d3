// context_import: writes exported versions with their authors, times, tags, tombstones and hashes. Versions that exist
// are skipped; a context with another history is refused.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { MAX_DOCUMENT_BYTES, MAX_DOCUMENT_INPUT_BYTES } from "../../lib/bounds.ts";
import { Fault } from "../../lib/fault.ts";
import { AGENT_LEVEL, CLIENT_LEVEL } from "../../log/level.ts";
import type { Changed, Stamp } from "../../log/log.ts";
import { write } from "../../operation/define.ts";
import { NO_QUOTA, UsageDelta } from "../../operation/usage.ts";
import type { Writer } from "../../store/store.ts";
import { claimColumns, insertVersion, writeHead } from "./append-version.ts";
import { levelOfId } from "./context-id.ts";
import { type ContextRow, framedTags, headOf } from "./rows.ts";
import { costOf } from "./usage.ts";
import { type ImportedVersion, parseLine } from "./version-line.ts";
import { versionState } from "./version-state.ts";

/** Most lines of one import command. */
export const MAX_IMPORT_LINES = 500;

interface ImportCommand {
  versions: ImportedVersion[];
}

const input = z.object({
  lines: z.array(z.string()).min(1).max(MAX_IMPORT_LINES).describe("Lines from context_export, in the same order."),
});

/** Parsed lines by the input that holds them: the gate and `prepare` both need them. */
const parsedLines = new WeakMap<object, ImportedVersion[]>();

function parseLines(lines: string[]): ImportedVersion[] {
  const known = parsedLines.get(lines);
  if (known !== undefined) return known;
  const versions = lines.map(parseLine);
  parsedLines.set(lines, versions);
  return versions;
}

/** Imports versions of an export. */
export const contextImport = write({
  name: "context_import",
  v: 1,
  title: "Import contexts",
  description:
    "Imports versions from context_export with their authors, times and deletions. A version that exists is skipped; a context with a different history is refused.",
  input,
  example: {
    lines: [
      JSON.stringify({
        id: "team-a/moved",
        version: 1,
        hash: "1aab67392137395c8af3420ac903c33b85bc10e68d6171329cfb3eded44f85c3",
        content_type: "text/plain",
        title: "",
        tags: [],
        author: "ann@example.com",
        via: "",
        time: "2026-01-01T00:00:00.000Z",
        created_at: "2026-01-01T00:00:00.000Z",
        content: "Moved here from another store.",
      }),
    ],
  },
  maxInputBytes: MAX_DOCUMENT_INPUT_BYTES,
  output: z.object({
    imported: z.number().int().describe("Versions written."),
    skipped: z.number().int().describe("Versions that existed already."),
  }),
  access: { verb: "admin", spaces: ({ lines }) => [...new Set(parseLines(lines).map(({ id }) => spaceOf(id)))] },
  hints: { idempotent: true },
  needsLevel: ({ lines }) => Math.max(...parseLines(lines).map(levelOfVersion)),
  prepare: ({ lines }): ImportCommand => {
    const versions = parseLines(lines);
    const size = versions.reduce((sum, version) => sum + version.document.size, 0);
    if (versions.length > 1 && size > MAX_DOCUMENT_BYTES) {
      throw new Fault(
        "too_large",
        `The lines have ${size} bytes of text in total; the limit is ${MAX_DOCUMENT_BYTES}`,
        {
          hint: "Send fewer lines at once.",
          details: { limit: MAX_DOCUMENT_BYTES },
        },
      );
    }
    return { versions };
  },
  apply(tx, { versions }, stamp) {
    const changes: Changed[] = [];
    for (const version of versions) {
      const changed = importVersion(tx, version, { ...stamp, seq: stamp.seq + changes.length });
      if (changed !== undefined) changes.push(changed);
    }
    return { output: { imported: changes.length, skipped: versions.length - changes.length }, changes };
  },
});

/** Returns the fleet level from which on a store can hold a version. */
function levelOfVersion({ id, client, agent }: ImportedVersion): number {
  return Math.max(levelOfId(id), client === undefined ? 1 : CLIENT_LEVEL, agent === undefined ? 1 : AGENT_LEVEL);
}

/** Writes a version as the next one of its context. Returns its change; undefined if it exists already. */
function importVersion(tx: Writer, version: ImportedVersion, stamp: Stamp): Changed | undefined {
  const { id, document } = version;
  const head = headOf(tx, id);
  if (head !== undefined && version.version <= head.version) {
    refuseOtherHistory(tx, version);
    return undefined;
  }
  if (head !== undefined && version.version !== head.version + 1) {
    throw conflict(version, `is at version ${head.version} here, and the versions in between are missing`);
  }
  const size = version.purged ? 0 : document.size;
  const row: ContextRow = {
    id,
    space: spaceOf(id),
    version: version.version,
    hash: document.hash,
    content_type: document.contentType,
    title: version.title,
    tags: framedTags(version.tags),
    size,
    author: version.author,
    created_at: version.createdAtMs,
    updated_at: version.timeMs,
    deleted: version.deleted ? 1 : 0,
  };
  const usage = new UsageDelta(row.space);
  usage.add(row.author, costOf(row));
  const written = {
    ...row,
    seq: stamp.seq,
    via: version.via,
    ...claimColumns(version, stamp.level),
    log_time: version.timeMs,
    purged: version.purged ? 1 : 0,
  };
  insertVersion(tx, id, written, document.text);
  writeHead(tx, row);
  usage.write(tx, NO_QUOTA);
  return { target: id, version: row.version, contentHash: row.hash, outcome: "imported", state: versionState(written) };
}

/** Throws `version_mismatch` if this version exists with other content. A version that is no longer kept passes. */
function refuseOtherHistory(tx: Writer, version: ImportedVersion): void {
  const here = tx.get<{ hash: string; deleted: number }>(
    "SELECT hash, deleted FROM versions WHERE id = ? AND version = ?",
    version.id,
    version.version,
  );
  if (here === undefined || (here.hash === version.document.hash && (here.deleted !== 0) === version.deleted)) return;
  throw conflict(version, "has a different history here");
}

function conflict({ id, version }: ImportedVersion, why: string): Fault {
  return new Fault("version_mismatch", `${JSON.stringify(id)} ${why} (at version ${version} of the import)`, {
    hint: "Import into an empty store or under another id, or skip contexts that exist with --missing-only.",
    details: { id, version },
  });
}
