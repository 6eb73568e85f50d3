// context_put: stores a document as the next version of its context.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { MAX_DOCUMENT_INPUT_BYTES } from "../../lib/bounds.ts";
import { WRITE_BYTE, WRITE_ROW } from "../../lib/work.ts";
import { write } from "../../operation/define.ts";
import { refuseForeignPlace } from "../../operation/kept-places.ts";
import { type BriefReading, briefReadingOf, viewerOf } from "../../operation/reading.ts";
import { appendVersion } from "./append-version.ts";
import {
  type AudienceCommand,
  audienceArguments,
  audienceCommand,
  isSameAudience,
  levelOfAudience,
  mayReadRow,
  nextAudience,
  taken,
  VISIBILITY_LEVEL,
} from "./audience.ts";
import { contextId, idAliases, levelOfId } from "./context-id.ts";
import {
  type DetailsCommand,
  detailArguments,
  detailsOf,
  levelOfDetails,
  nextDetails,
  spacesOfSuperseded,
} from "./details.ts";
import { type Document, toDocument, type Untyped, withTypeBefore } from "./document.ts";
import { framedTags } from "./labels.ts";
import { headAt } from "./rows.ts";
import { requestedPart, type StampedLimits, stampedLimits } from "./stamped-limits.ts";
import {
  type Conditions,
  checkConditions,
  conditionsOf,
  fence,
  ifMatch,
  levelOfConditions,
  spacesOfWrite,
} from "./write-conditions.ts";
import { conditionAliases, tags, title, writtenOutput } from "./write-shape.ts";

interface PutCommand extends Conditions, DetailsCommand, AudienceCommand, BriefReading {
  id: string;
  document: Document;
  /** Set where the type of the document was not given: that of the context is kept. */
  untyped?: Untyped;
  title: string | null;
  tags: string[] | null;
  keep: StampedLimits;
}

/** Fleet level from which on a write without a type keeps that of the context. */
const TYPE_KEPT_LEVEL = 3;

/** Stores a document as the newest version of its id. */
export const contextPut = write({
  name: "context_put",
  v: 1,
  title: "Write a context",
  search: "remember, save memory, write note, store decision, plan, status, handoff",
  core: "always",
  description:
    'Stores a document (a note, a memory, a decision, a plan, a handoff) under an id as its next version. Use it to remember what you learned, decided or plan where other agents and later sessions find it. Pass if_match with the etag you read, to overwrite nothing written meanwhile; if_none_match "*" only creates. What you leave out stays as it is. For a small change to a large document use context_patch.',
  input: z.object({
    id: contextId,
    content: z.unknown().describe("The document as one string; JSON as its text."),
    content_type: z
      .string()
      .min(1)
      .max(256)
      .optional()
      .describe("Such as text/markdown (default: as before, else JSON or text/plain by the content)."),
    title: title.optional().describe("For lists."),
    tags: tags.optional().describe("To find it by."),
    ...detailArguments,
    ...audienceArguments,
    if_match: ifMatch,
    fence,
    if_none_match: z.string().min(1).max(4096).optional().describe('"*": only if there is no such context yet.'),
  }),
  example: {
    id: "team-a/plan",
    content: { goal: "Release 1.0", steps: ["test", "tag"] },
    title: "Plan of the release",
    tags: ["release"],
  },
  samples: {
    ...{ content_type: "text/markdown", if_match: "7-1f3a9c0b22de", if_none_match: "*", fence: "team-a/plan@1-57" },
    ...{ expires_in: 3600, metadata: { project: "x" }, supersedes: ["team-a/old-plan"] },
    ...{ visibility: "private", to: ["reviewer"] },
  },
  maxInputBytes: MAX_DOCUMENT_INPUT_BYTES,
  output: writtenOutput,
  access: {
    verb: "write",
    spaces: (input) => [...new Set([...spacesOfWrite(input), ...spacesOfSuperseded(input.supersedes)])],
  },
  hints: { idempotent: false },
  aliases: {
    ...idAliases,
    ...conditionAliases,
    value: "content",
    text: "content",
    body: "content",
    data: "content",
    type: "content_type",
    mime_type: "content_type",
  },
  target: "id",
  needsLevel: (input) =>
    Math.max(levelOfId(input.id), levelOfConditions(input), levelOfDetails(input), levelOfAudience(input)),
  work: ({ document }: PutCommand) => WRITE_ROW + WRITE_BYTE * document.size,
  prepare: (input, limits, proposer): PutCommand => ({
    id: input.id,
    document: toDocument(input.content, input.content_type, limits.maxDocumentBytes),
    ...(input.content_type === undefined ? { untyped: typeof input.content === "string" ? "text" : "value" } : {}),
    title: input.title ?? null,
    tags: input.tags === undefined ? null : [...new Set(input.tags)],
    ...detailsOf(input.id, input),
    ...audienceCommand(input),
    ...briefReadingOf(proposer, spaceOf(input.id)),
    ...conditionsOf(input),
    keep: stampedLimits(input.id, limits),
  }),
  asked: requestedPart,
  apply(tx, command, stamp) {
    const head = headAt(tx, command.id, stamp.timeMs);
    const viewer = viewerOf(command.reading ?? {}, stamp);
    if (head !== undefined && !mayReadRow(head, viewer)) throw taken(command.id);
    checkConditions(tx, command, head);
    const audience = nextAudience(command, head, viewer, stamp);
    if (head === undefined && stamp.level >= VISIBILITY_LEVEL)
      refuseForeignPlace(command.id, audience.visibility === "public", viewer);
    const living = head?.deleted === 0 ? head : undefined;
    const { document, untyped } = command;
    const isKept = untyped !== undefined && living !== undefined && stamp.level >= TYPE_KEPT_LEVEL;
    return appendVersion(
      tx,
      {
        id: command.id,
        head,
        document: isKept ? withTypeBefore(document, untyped, living.content_type) : document,
        title: command.title ?? living?.title ?? "",
        tags: command.tags === null ? (living?.tags ?? "") : framedTags(command.tags),
        details: nextDetails(command, living, stamp.timeMs),
        audience,
        ...(living === undefined || isSameAudience(living, audience) ? {} : { outcome: "shared" }),
      },
      command.keep,
      stamp,
    );
  },
});
