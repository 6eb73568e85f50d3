// context_restore: writes an earlier version of a context again as its next version.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { READ_BYTE } from "../../lib/work.ts";
import { write } from "../../operation/define.ts";
import { type BriefReading, briefReadingOf, viewerOf } from "../../operation/reading.ts";
import { appendVersion, WHOLE_DOCUMENT, workOfWrite } from "./append-version.ts";
import { audienceOf } from "./audience.ts";
import { contextId, idAliases } from "./context-id.ts";
import { restoredDetails } from "./details.ts";
import { readable } from "./readable.ts";
import { headAt, sizeOfVersion, textOf } from "./rows.ts";
import { requestedPart, type StampedLimits, stampedLimits } from "./stamped-limits.ts";
import { missing, requireVersion } from "./version-faults.ts";
import {
  type Conditions,
  checkConditions,
  conditionsOf,
  fence,
  ifMatch,
  levelOfConditions,
  spacesOfWrite,
} from "./write-conditions.ts";
import { conditionAliases, writtenOutput } from "./write-shape.ts";

interface RestoreCommand extends Conditions, BriefReading {
  id: string;
  version: number;
  keep: StampedLimits;
}

/** Makes an earlier version the newest. */
export const contextRestore = write({
  name: "context_restore",
  v: 1,
  title: "Restore an earlier version",
  search: "undo a change, bring back an earlier or deleted note",
  description:
    "Writes an earlier version of a context again, with its title, tags and metadata, as the newest version; this also restores a deleted context. Nothing in between is lost. Find the version with context_history.",
  input: z.object({
    id: contextId,
    version: z.number().int().min(1).describe("The version to restore, as numbered by context_history."),
    if_match: ifMatch,
    fence,
  }),
  example: { id: "team-a/plan", version: 1 },
  samples: { if_match: "7-1f3a9c0b22de", fence: "team-a/plan@1-57" },
  output: writtenOutput,
  access: { verb: "write", spaces: spacesOfWrite },
  hints: { idempotent: false },
  aliases: { ...idAliases, ...conditionAliases },
  target: "id",
  needsLevel: levelOfConditions,
  prepare: (input, limits, proposer): RestoreCommand => ({
    id: input.id,
    version: input.version,
    ...conditionsOf(input),
    ...briefReadingOf(proposer, spaceOf(input.id)),
    keep: stampedLimits(input.id, limits),
  }),
  work: ({ id, version }, reader) => workOfRestore(reader === undefined ? 0 : sizeOfVersion(reader, id, version)),
  weight: () => WHOLE_DOCUMENT,
  asked: requestedPart,
  apply(tx, command, stamp) {
    const viewer = viewerOf(command.reading ?? {}, stamp);
    const head = readable(headAt(tx, command.id, stamp.timeMs), viewer);
    if (head === undefined) throw missing(command.id);
    checkConditions(tx, command, head);
    stamp.work.spend(READ_BYTE * sizeOfVersion(tx, command.id, command.version));
    const row = requireVersion(tx, head, command.version, viewer);
    return appendVersion(
      tx,
      {
        id: command.id,
        head,
        document: { text: textOf(row), contentType: row.content_type, hash: row.hash, size: row.size },
        title: row.title,
        tags: row.tags,
        details: restoredDetails(command.id, row, head.deleted === 0 ? head : undefined, stamp.timeMs),
        audience: audienceOf(head),
        outcome: "restored",
      },
      command.keep,
      stamp,
    );
  },
});

function workOfRestore(bytes: number): number {
  return READ_BYTE * bytes + workOfWrite(bytes);
}
