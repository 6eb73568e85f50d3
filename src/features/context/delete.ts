// context_delete: writes a tombstone as the next version of a context.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { write } from "../../operation/define.ts";
import { type BriefReading, briefReadingOf, viewerOf } from "../../operation/reading.ts";
import { appendTombstone } from "./append-version.ts";
import { contextId, idAliases } from "./context-id.ts";
import { readable } from "./readable.ts";
import { headAt } from "./rows.ts";
import { requestedPart, type StampedLimits, stampedLimits } from "./stamped-limits.ts";
import { missing } from "./version-faults.ts";
import {
  type Conditions,
  checkConditions,
  conditionsOf,
  fence,
  ifMatch,
  levelOfConditions,
  spacesOfWrite,
} from "./write-conditions.ts";
import { conditionAliases } from "./write-shape.ts";

interface DeleteCommand extends Conditions, BriefReading {
  id: string;
  keep: StampedLimits;
}

/** Deletes a context; its versions stay. */
export const contextDelete = write({
  name: "context_delete",
  v: 1,
  title: "Delete a context",
  search: "forget, delete memory, remove note",
  core: "daily",
  description:
    "Deletes a context. Its earlier versions can be read by number, and restored with context_restore, until history limits remove them. Pass if_match with the etag you read.",
  input: z.object({ id: contextId, if_match: ifMatch, fence }),
  example: { id: "team-a/plan" },
  samples: { if_match: "7-1f3a9c0b22de", fence: "team-a/plan@1-57" },
  output: z.object({ id: z.string(), version: z.number().int(), deleted: z.literal(true) }),
  access: { verb: "write", spaces: spacesOfWrite },
  hints: { destructive: true },
  aliases: { ...idAliases, ...conditionAliases },
  target: "id",
  needsLevel: levelOfConditions,
  prepare: (input, limits, proposer): DeleteCommand => ({
    id: input.id,
    ...conditionsOf(input),
    ...briefReadingOf(proposer, spaceOf(input.id)),
    keep: stampedLimits(input.id, limits),
  }),
  asked: requestedPart,
  apply(tx, command, stamp) {
    const head = readable(headAt(tx, command.id, stamp.timeMs), viewerOf(command.reading ?? {}, stamp));
    if (head === undefined || head.deleted !== 0) throw missing(command.id);
    checkConditions(tx, command, head);
    const { row, changes } = appendTombstone(tx, head, "deleted", command.keep, stamp);
    return { output: { id: row.id, version: row.version, deleted: true as const }, changes };
  },
});
