// context_import: writes exported versions with their authors, times, tags, tombstones and hashes. Versions that exist
// are skipped; a context with another history is refused.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { MAX_DOCUMENT_BYTES, MAX_DOCUMENT_INPUT_BYTES } from "../../lib/bounds.ts";
import { Fault } from "../../lib/fault.ts";
import { AGENT_LEVEL, CLIENT_LEVEL } from "../../log/level.ts";
import type { Changed } from "../../log/log.ts";
import { type ApplyStamp, write } from "../../operation/define.ts";
import { type BriefReading, briefReadingOf, viewerOf } from "../../operation/reading.ts";
import { NO_QUOTA, UsageDelta } from "../../operation/usage.ts";
import type { Viewer } from "../../operation/viewer.ts";
import type { Writer } from "../../store/store.ts";
import {
  agentColumn,
  audienceColumns,
  claimColumns,
  detailColumns,
  insertVersion,
  writeHead,
} from "./append-version.ts";
import { audienceOf, isSameAudience, mayReadRow, PUBLIC, taken, VISIBILITY_LEVEL } from "./audience.ts";
import { levelOfId } from "./context-id.ts";
import { DETAILS_LEVEL, NO_DETAILS, spacesOfSuperseded } from "./details.ts";
import { framedTags, tagsOf } from "./labels.ts";
import { type ContextRow, storedHead, versionOf } from "./rows.ts";
import { writeSuperseded } from "./supersede.ts";
import { costOf } from "./usage.ts";
import { type ImportedVersion, parseLine } from "./version-line.ts";
import { versionState } from "./version-state.ts";

/** Most lines of one import command. */
export const MAX_IMPORT_LINES = 500;

interface ImportCommand extends BriefReading {
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
  access: { verb: "admin", spaces: ({ lines }) => [...new Set(parseLines(lines).flatMap(spacesOfVersion))] },
  hints: { idempotent: true },
  needsLevel: ({ lines }) => Math.max(...parseLines(lines).map(levelOfVersion)),
  prepare: ({ lines }, _limits, proposer): ImportCommand => {
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
    // An importer is an admin of every space that it touches, and the same viewer in each.
    return { versions, ...briefReadingOf(proposer, spaceOf(versions[0]?.id ?? "")) };
  },
  apply(tx, { versions, reading = {} }, stamp) {
    const viewer = viewerOf(reading, stamp);
    const changes: Changed[] = [];
    let imported = 0;
    for (const version of versions) {
      const made = importVersion(tx, version, viewer, { ...stamp, seq: stamp.seq + changes.length });
      if (made.length > 0) imported += 1;
      changes.push(...made);
    }
    return { output: { imported, skipped: versions.length - imported }, changes };
  },
});

function spacesOfVersion({ id, details }: ImportedVersion): string[] {
  return [spaceOf(id), ...spacesOfSuperseded(tagsOf(details?.supersedes ?? ""))];
}

/** Returns the fleet level from which on a store can hold a version. */
function levelOfVersion({ id, client, agent, details, audience }: ImportedVersion): number {
  const levels = [
    client === undefined ? 1 : CLIENT_LEVEL,
    agent === undefined ? 1 : AGENT_LEVEL,
    details === undefined ? 1 : DETAILS_LEVEL,
    audience === undefined ? 1 : VISIBILITY_LEVEL,
  ];
  return Math.max(levelOfId(id), ...levels);
}

/** Writes a version as the next one of its context. Returns its changes; none if it exists already. */
function importVersion(tx: Writer, version: ImportedVersion, viewer: Viewer, stamp: ApplyStamp): Changed[] {
  const { id, document, details = NO_DETAILS, audience = PUBLIC } = version;
  const head = storedHead(tx, id);
  const isHidden = head !== undefined && !mayReadRow(head, viewer);
  if (head !== undefined && version.version <= head.version) {
    refuseOtherHistory(tx, version, isHidden);
    return [];
  }
  if (head !== undefined && version.version !== head.version + 1) {
    if (isHidden) throw taken(id);
    throw conflict(version, `is at version ${head.version} here, and the versions in between are missing`);
  }
  if (head !== undefined && audienceOf(head).visibility === "public" && audience.visibility !== "public")
    throw conflict(version, "is public here, and not in the import");
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
    ...agentColumn(version, stamp.level),
    created_at: version.createdAtMs,
    updated_at: version.timeMs,
    deleted: version.deleted ? 1 : 0,
    ...detailColumns(details, stamp.level),
    ...audienceColumns(audience, head, stamp.level),
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
  const others = writeSuperseded(tx, row, head, stamp);
  usage.write(tx, NO_QUOTA);
  const { version: number, hash: contentHash } = row;
  const state = versionState(written);
  return [{ target: id, version: number, contentHash, outcome: "imported", state }, ...others];
}

/**
 * Throws `version_mismatch` if this version exists with other content, and `id_taken` where the importer may not read
 * the context. A version that is no longer kept passes.
 */
function refuseOtherHistory(tx: Writer, version: ImportedVersion, isHidden: boolean): void {
  const here = versionOf(tx, version.id, version.version);
  if (here === undefined) return;
  const isSame = here.hash === version.document.hash && (here.deleted !== 0) === version.deleted;
  if (isSame && (!isHidden || isSameAudience(here, version.audience ?? PUBLIC))) return;
  if (isHidden) throw taken(version.id);
  throw conflict(version, "has a different history here");
}

function conflict({ id, version }: ImportedVersion, why: string): Fault {
  return new Fault("version_mismatch", `${JSON.stringify(id)} ${why} (at version ${version} of the import)`, {
    hint: "Import into an empty store or under another id, or skip contexts that exist with --missing-only.",
    details: { id, version },
  });
}
