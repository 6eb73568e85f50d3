// context_patch: changes a part of a document. `prepare` parses the patch and checks its size; `apply` evaluates it on
// the text that is the newest then.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { MAX_DOCUMENT_INPUT_BYTES } from "../../lib/bounds.ts";
import { Fault } from "../../lib/fault.ts";
import { applyJsonPatch, parseSteps, stepsOf } from "../../lib/json-patch.ts";
import { checkJsonValue, parseJson } from "../../lib/json-text.ts";
import { parseExact } from "../../lib/json-value.ts";
import { jsonTextWork, leastCharacters, leastJsonWork } from "../../lib/json-work.ts";
import { isJsonType } from "../../lib/media-type.ts";
import { applyMergePatch } from "../../lib/merge-patch.ts";
import { withoutBom } from "../../lib/utf8.ts";
import { MAX_COMMAND_WORK, READ_BYTE, type Work, WRITE_ROW } from "../../lib/work.ts";
import { type ApplyStamp, write } from "../../operation/define.ts";
import { type BriefReading, briefReadingOf, viewerOf } from "../../operation/reading.ts";
import type { Reader, Writer } from "../../store/store.ts";
import { appendVersion, WHOLE_DOCUMENT } from "./append-version.ts";
import { audienceOf } from "./audience.ts";
import { contextId, idAliases } from "./context-id.ts";
import { nextDetails } from "./details.ts";
import { documentOf } from "./document.ts";
import { applyEdits, type Edit, type EditOptions, parseEdits, workOfEdits } from "./edits.ts";
import { type EditedDocument, explainEdits } from "./explain-edits.ts";
import { explainSteps } from "./explain-steps.ts";
import { readable } from "./readable.ts";
import { headAt, newestText, type StoredVersion, storedHead, textOf } from "./rows.ts";
import { requestedPart, type StampedLimits, stampedLimits } from "./stamped-limits.ts";
import { deleted, missing, requireVersion } from "./version-faults.ts";
import {
  type Conditions,
  checkConditions,
  conditionsOf,
  fence,
  ifMatch,
  levelOfConditions,
  spacesOfWrite,
} from "./write-conditions.ts";
import { writtenOutput } from "./write-shape.ts";

const FORMATS = ["merge", "json-patch", "edit"] as const;
/** How a patch is written. */
export type PatchFormat = (typeof FORMATS)[number];

interface PatchCommand extends Conditions, BriefReading {
  id: string;
  format: PatchFormat;
  /** JSON text (replication.md 4). */
  patch: string;
  keep: StampedLimits;
}

/** Changes a part of a document. */
export const contextPatch = write({
  name: "context_patch",
  v: 3,
  level: 3,
  maxWork: MAX_COMMAND_WORK,
  earlier: [
    // Line ends of an edit as they are written.
    { v: 2, level: 2, maxWork: MAX_COMMAND_WORK, apply: applyWithExactLineEnds },
    // Without a limit on its work.
    { v: 1, apply: applyWithExactLineEnds },
  ],
  title: "Change a part of a context",
  search: "update memory, edit note, change document, append",
  core: "daily",
  description:
    "Changes a part of the newest version of a document, without sending the whole. merge: an object whose keys are set, null removes a key, arrays are replaced (RFC 7396). json-patch: a list of add, remove, replace, move, copy and test steps (RFC 6902). edit: for text, a list of {op: append|prepend, text} and {op: replace, old_text, new_text, expected_count}; old_text must occur exactly expected_count times (default 1); add line breaks yourself; \\n stands for the line ends that the document has. A patch applies as a whole or not at all.",
  input: z.object({
    id: contextId,
    format: z.enum(FORMATS).describe("merge and json-patch need a JSON document; edit works on any text."),
    patch: z.unknown().describe("The patch as one string: its JSON text."),
    if_match: ifMatch,
    fence,
  }),
  example: { id: "team-a/plan", format: "merge", patch: { goal: "Release 1.1" } },
  samples: { if_match: "7-1f3a9c0b22de", fence: "team-a/plan@1-57" },
  maxInputBytes: MAX_DOCUMENT_INPUT_BYTES,
  output: writtenOutput.extend({ created: z.literal(false) }),
  access: { verb: "write", spaces: spacesOfWrite },
  hints: { idempotent: false },
  aliases: {
    ...idAliases,
    etag: "if_match",
    expected_etag: "if_match",
    edits: "patch",
    edit: "patch",
    operations: "patch",
    type: "format",
  },
  target: "id",
  needsLevel: levelOfConditions,
  prepare: (input, limits, proposer): PatchCommand => ({
    id: input.id,
    format: input.format,
    patch: patchText(input.format, input.patch, limits.maxDocumentBytes),
    ...conditionsOf(input),
    ...briefReadingOf(proposer, spaceOf(input.id)),
    keep: stampedLimits(input.id, limits),
  }),
  work: workOfPatch,
  weight: () => WHOLE_DOCUMENT,
  asked: requestedPart,
  apply: (tx, command, stamp) => applyCommand(tx, command, stamp, { work: stamp.work, keepsLineEnds: true }),
  explain: ({ id, format, patch }, fault, reader) => {
    if (fault.code !== "patch_failed" || format === "merge") return fault;
    const read = () => newestDocument(reader, id);
    return format === "edit"
      ? explainEdits(parseEdits(parsedPatch(patch)), fault, read)
      : explainSteps(parseSteps(parsedPatch(patch)), fault, read);
  },
});

function applyWithExactLineEnds(tx: Writer, command: PatchCommand, stamp: ApplyStamp) {
  return applyCommand(tx, command, stamp, { work: stamp.work, keepsLineEnds: false });
}

function applyCommand(tx: Writer, command: PatchCommand, stamp: ApplyStamp, options: EditOptions & { work: Work }) {
  const { id, keep } = command;
  const viewer = viewerOf(command.reading ?? {}, stamp);
  const head = readable(headAt(tx, id, stamp.timeMs), viewer);
  if (head === undefined) throw missing(id);
  if (head.deleted !== 0) throw deleted(head);
  checkConditions(tx, command, head);
  stamp.work.spend(READ_BYTE * head.size);
  const row = requireVersion(tx, head, head.version, viewer);
  const text = applyPatch(row, command, options);
  const { output, changes } = appendVersion(
    tx,
    {
      id,
      head,
      document: documentOf(text, row.content_type, keep.documentBytes),
      title: head.title,
      tags: head.tags,
      details: nextDetails({}, head, stamp.timeMs),
      audience: audienceOf(head),
      outcome: "patched",
    },
    keep,
    stamp,
  );
  return { output: { ...output, created: false as const }, changes };
}

/** Returns the patch as a value; it was parsed before. */
function parsedPatch(patch: unknown): unknown {
  return typeof patch === "string" ? parseExact(withoutBom(patch)) : patch;
}

function newestDocument(reader: Reader, id: string): EditedDocument | undefined {
  const row = newestText(reader, id);
  return row && { text: textOf(row), isJson: isJsonType(row.content_type) };
}

/** Returns the patch as JSON text. Throws `invalid_input`, `too_large`. */
function patchText(format: PatchFormat, patch: unknown, maxBytes: number): string {
  if (patch === undefined) throw new Fault("invalid_input", "The patch is missing", { hint: "Pass patch." });
  if (typeof patch === "string") refuseSize(patch.length, maxBytes);
  else checkJsonValue(patch, "The patch");
  let text = typeof patch === "string" ? withoutBom(patch) : JSON.stringify(patch);
  const value = typeof patch === "string" ? parseJson(text, "The patch") : patch;
  if (format === "json-patch") parseSteps(value);
  if (format === "edit") text = JSON.stringify(parseEdits(value));
  refuseSize(Buffer.byteLength(text, "utf8"), maxBytes);
  return text;
}

function refuseSize(size: number, maxBytes: number): void {
  if (size <= maxBytes) return;
  throw new Fault("too_large", `The patch has ${size} bytes; the limit is ${maxBytes}`, {
    hint: "Send several patches, or write the whole document.",
    details: { limit: maxBytes },
  });
}

/** Returns the text with the patch applied. Throws `patch_failed`, `too_large`, `unsupported_media_type`. */
function applyPatch(row: StoredVersion, command: PatchCommand, options: EditOptions & { work: Work }): string {
  const { work } = options;
  const isJson = isJsonType(row.content_type);
  const maxBytes = command.keep.documentBytes;
  const text = textOf(row);
  work.spend(jsonTextWork(command.patch));
  if (command.format === "edit") {
    const edited = applyEdits(text, JSON.parse(command.patch) as Edit[], maxBytes, options);
    if (!isJson) return edited;
    work.spend(jsonTextWork(edited));
    refuseBrokenJson(edited);
    return edited;
  }
  if (!isJson) {
    throw new Fault(
      "unsupported_media_type",
      `${JSON.stringify(command.id)} is ${row.content_type}; a ${command.format} patch needs JSON`,
      { hint: "Use format edit for text." },
    );
  }
  work.spend(jsonTextWork(text));
  const document = parseExact(text);
  const patch = parseExact(command.patch);
  const result =
    command.format === "merge"
      ? applyMergePatch(document, patch)
      : applyJsonPatch(document, stepsOf(patch), maxBytes, work);
  return JSON.stringify(result);
}

/** Returns the units that a patch takes at least; without a reader, in any state. */
function workOfPatch({ id, format, patch }: PatchCommand, reader?: Reader): number {
  const size = (reader && storedHead(reader, id)?.size) ?? 0;
  const stored = READ_BYTE * size + WRITE_ROW + jsonTextWork(patch);
  return (
    stored + (format === "edit" ? workOfEdits(leastCharacters(size), JSON.parse(patch) as Edit[]) : leastJsonWork(size))
  );
}

function refuseBrokenJson(text: string): void {
  try {
    parseJson(text, "The edited document");
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    // Without the reason, which quotes the document: the refusal may be kept, and a purge would not find it there.
    throw new Fault("patch_failed", "The edited document is not valid JSON", {
      hint: "The document is JSON and must remain valid; use merge or json-patch, or correct the edit.",
    });
  }
}
