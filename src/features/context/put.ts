// context_put: stores a document as the next version of its context.

import { z } from "zod";
import { MAX_DOCUMENT_INPUT_BYTES } from "../../lib/bounds.ts";
import { WRITE_BYTE, WRITE_ROW } from "../../lib/work.ts";
import { write } from "../../operation/define.ts";
import { appendVersion } from "./append-version.ts";
import { contextId, idAliases, levelOfId } from "./context-id.ts";
import {
  type DetailsCommand,
  detailArguments,
  detailsOf,
  levelOfDetails,
  nextDetails,
  spacesOfSuperseded,
} from "./details.ts";
import { type Document, toDocument } from "./document.ts";
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

interface PutCommand extends Conditions, DetailsCommand {
  id: string;
  document: Document;
  title: string | null;
  tags: string[] | null;
  keep: StampedLimits;
}

/** Stores a document as the newest version of its id. */
export const contextPut = write({
  name: "context_put",
  v: 1,
  title: "Write a context",
  search: "remember, save memory, write note, store decision, plan, status, handoff",
  core: "always",
  description:
    'Stores a document (a note, a memory, a decision, a plan, a handoff) under an id as its next version. Use it to remember what you learned, decided or plan where other agents and later sessions find it. Pass if_match with the etag you read, so that you never overwrite what someone wrote meanwhile; if_none_match "*" only creates. For a small change to a large document use context_patch.',
  input: z.object({
    id: contextId,
    content: z.unknown().describe("The document as one string; JSON as its text."),
    content_type: z
      .string()
      .min(1)
      .max(256)
      .optional()
      .describe("Such as text/markdown (default: JSON for the text of an object or array, else text/plain)."),
    title: title.optional().describe("A short title for lists (default: unchanged)."),
    tags: tags.optional().describe("Words to find it by (default: unchanged)."),
    ...detailArguments,
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
  needsLevel: (input) => Math.max(levelOfId(input.id), levelOfConditions(input), levelOfDetails(input)),
  work: ({ document }: PutCommand) => WRITE_ROW + WRITE_BYTE * document.size,
  prepare: (input, limits): PutCommand => ({
    id: input.id,
    document: toDocument(input.content, input.content_type, limits.maxDocumentBytes),
    title: input.title ?? null,
    tags: input.tags === undefined ? null : [...new Set(input.tags)],
    ...detailsOf(input.id, input),
    ...conditionsOf(input),
    keep: stampedLimits(input.id, limits),
  }),
  asked: requestedPart,
  apply(tx, command, stamp) {
    const head = headAt(tx, command.id, stamp.timeMs);
    checkConditions(tx, command, head);
    const living = head?.deleted === 0 ? head : undefined;
    return appendVersion(
      tx,
      {
        id: command.id,
        head,
        document: command.document,
        title: command.title ?? living?.title ?? "",
        tags: command.tags === null ? (living?.tags ?? "") : framedTags(command.tags),
        details: nextDetails(command, living, stamp.timeMs),
      },
      command.keep,
      stamp,
    );
  },
});
