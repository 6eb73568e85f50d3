// Edits of a document's text: append, prepend, and replace. A replacement names how many occurrences it expects, so
// that it cannot change a place that its author did not mean.

import { z } from "zod";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { findAll, SHORT } from "../../lib/find-all.ts";
import { shownValue } from "../../lib/schema-issue.ts";
import { Work } from "../../lib/work.ts";
import { parseArguments } from "../../operation/parse-input.ts";
import { findOverLineEnds, lineEndOf, withLineEnds } from "./line-ends.ts";

/** One edit. */
export type Edit = { op: "append"; text: string } | { op: "prepend"; text: string } | Replace;

interface Replace {
  op: "replace";
  old_text: string;
  new_text: string;
  expected_count: number;
}

const MAX_EDITS = 1000;
/** Most characters that all edits of a patch may search together. */
const MAX_WORK = 64 * 1024 * 1024;

const wellFormed = z.string().refine((text) => text.isWellFormed(), "must be well-formed Unicode");
const SHAPES = {
  append: z.object({ op: z.literal("append"), text: wellFormed }),
  prepend: z.object({ op: z.literal("prepend"), text: wellFormed }),
  replace: z.object({
    op: z.literal("replace"),
    old_text: wellFormed.min(1),
    new_text: wellFormed,
    expected_count: z.number().int().min(1).max(1_000_000).default(1),
  }),
} as const;
const REPLACE_ALIASES = {
  old_string: "old_text",
  old: "old_text",
  find: "old_text",
  new_string: "new_text",
  new: "new_text",
  replacement: "new_text",
  count: "expected_count",
};
const TEXT_ALIASES = { content: "text", value: "text" };

/** Parses a list of edits, or a single edit. Throws `invalid_input`, `too_large`. */
export function parseEdits(patch: unknown): Edit[] {
  const list = Array.isArray(patch) ? patch : [patch];
  if (list.length > MAX_EDITS)
    throw new Fault("too_large", `The patch has ${list.length} edits; the limit is ${MAX_EDITS}`, {
      hint: "Send several patches.",
    });
  return list.map(parseEdit);
}

function parseEdit(raw: unknown, index: number): Edit {
  const op = typeof raw === "object" && raw !== null && "op" in raw ? raw.op : undefined;
  if (op !== "append" && op !== "prepend" && op !== "replace") {
    const found = op === undefined ? `no op; it is ${shownValue(raw)}` : `the op ${shownValue(op)}, which is none`;
    throw new Fault("invalid_input", `Edit ${index} has ${found}`, {
      hint: 'An edit is {"op": "append", "text"}, {"op": "prepend", "text"} or {"op": "replace", "old_text", "new_text", "expected_count"}.',
      details: { step: index },
    });
  }
  const parsed: unknown = parseArguments(
    { name: `Edit ${index} (${op})`, input: SHAPES[op], aliases: op === "replace" ? REPLACE_ALIASES : TEXT_ALIASES },
    raw,
  );
  return parsed as Edit;
}

/** Units of work for a place that is found and replaced, and for a character that is written. */
const PLACE = 48;
const WRITTEN = 2;
/** Units for a character that is looked through: for short texts the engine's own search is used. */
const LOOKED_SHORT = 1;
const LOOKED_LONG = 4;

/** Returns the units of work of the edits on a text of `length` characters, and the length after them. */
export function workOfEdits(length: number, edits: readonly Edit[]): number {
  let units = 0;
  let current = length;
  for (const edit of edits) {
    units += workOfEdit(current, edit);
    current = Math.max(0, lengthAfter(current, edit));
  }
  return units;
}

function workOfEdit(length: number, edit: Edit): number {
  const written = WRITTEN * Math.max(0, lengthAfter(length, edit));
  if (edit.op !== "replace") return written;
  const { old_text, expected_count } = edit;
  const looked = old_text.length <= SHORT ? LOOKED_SHORT : LOOKED_LONG;
  return written + PLACE * expected_count + looked * (length + old_text.length);
}

function lengthAfter(length: number, edit: Edit): number {
  if (edit.op !== "replace") return length + edit.text.length;
  return length + edit.expected_count * (edit.new_text.length - edit.old_text.length);
}

/** Units for a character of a document with \r\n, whose places are looked for twice. */
const LINE_ENDS = 8;

/** How edits are applied. */
export interface EditOptions {
  work?: Work;
  /**
   * \n and \r\n stand for each other, and the document keeps its own. False in the versions of the command before:
   * every character was compared and written as it is.
   */
  keepsLineEnds?: boolean;
}

/**
 * Applies edits as `parseEdits` returns them, in order; each result has at most `maxBytes`. Throws `patch_failed`,
 * `too_large`.
 */
export function applyEdits(
  text: string,
  edits: readonly Edit[],
  maxBytes: number,
  { work = new Work(), keepsLineEnds = true }: EditOptions = {},
): string {
  let looked = 0;
  // Of the document before the edits: one of them may remove all its line ends.
  const ends = lineEndOf(text);
  return edits.reduce((current, edit, index) => {
    // Counted by what the edit expects: with another number of places it fails at once.
    work.spend(workOfEdit(current.length, edit));
    looked += current.length;
    if (looked > MAX_WORK)
      throw new Fault("too_large", `Edit ${index}: the edits search too much text`, {
        hint: "Write the whole document instead.",
      });
    const hasOwnEnds = keepsLineEnds && current.includes("\r\n");
    if (hasOwnEnds) work.spend(LINE_ENDS * current.length);
    const next = hasOwnEnds
      ? applyKeepingLineEnds(current, edit, index, { maxBytes, ends })
      : applyEdit(current, keepsLineEnds ? inEndsOf(current, edit, ends) : edit, index, maxBytes);
    if (next.length > maxBytes) throw tooLarge(index, maxBytes);
    return next;
  }, text);
}

function applyEdit(text: string, edit: Edit, index: number, maxBytes: number): string {
  if (edit.op === "append") return text + edit.text;
  if (edit.op === "prepend") return edit.text + text;
  return replace(text, edit, index, maxBytes);
}

/** Returns an edit of a text without \r\n in the line ends of that text. */
function inEndsOf(text: string, edit: Edit, ends: string | undefined): Edit {
  const end = lineEndOf(text) ?? ends;
  if (edit.op !== "replace") return { ...edit, text: withLineEnds(edit.text, end) };
  return { ...edit, old_text: withLineEnds(edit.old_text, "\n"), new_text: withLineEnds(edit.new_text, end) };
}

function applyKeepingLineEnds(
  text: string,
  edit: Edit,
  index: number,
  { maxBytes, ends }: { maxBytes: number; ends: string | undefined },
): string {
  const end = lineEndOf(text) ?? ends;
  if (edit.op !== "replace") return applyEdit(text, { ...edit, text: withLineEnds(edit.text, end) }, index, maxBytes);
  const places = findOverLineEnds(text, edit.old_text, edit.expected_count);
  refuseCount(edit, index, places.length);
  const parts: string[] = [];
  let size = text.length;
  let done = 0;
  for (const place of places) {
    const written = withLineEnds(edit.new_text, lineEndOf(text, place) ?? end);
    size += written.length - (place.end - place.start);
    if (size > maxBytes && size > text.length) throw tooLarge(index, maxBytes);
    parts.push(text.slice(done, place.start), written);
    done = place.end;
  }
  parts.push(text.slice(done));
  return parts.join("");
}

/**
 * Throws `patch_failed` where an edit is not in as many places as it expects. Without the text: the refusal may be
 * kept, and a purge would not find it there.
 */
function refuseCount(edit: Replace, index: number, count: number): void {
  if (count === edit.expected_count) return;
  const found = count === 0 ? "is not in the text" : `is in the text ${counted(count, "time")}`;
  throw new Fault("patch_failed", `Edit ${index}: its old_text ${found}; ${edit.expected_count} expected`, {
    hint:
      count === 0
        ? "Read the context again (format text) and copy old_text exactly."
        : "Pass a longer old_text that occurs once, or set expected_count.",
    details: { step: index, count },
  });
}

function replace(text: string, edit: Replace, index: number, maxBytes: number): string {
  const places = findAll(text, edit.old_text);
  refuseCount(edit, index, places.length);
  // Checked before the text is built: a new_text that is inserted in many places can be very large.
  if (text.length + places.length * (edit.new_text.length - edit.old_text.length) > maxBytes)
    throw tooLarge(index, maxBytes);
  if (edit.old_text.length <= SHORT) return text.split(edit.old_text).join(edit.new_text);
  const parts: string[] = [];
  let end = 0;
  for (const place of places) {
    parts.push(text.slice(end, place), edit.new_text);
    end = place + edit.old_text.length;
  }
  parts.push(text.slice(end));
  return parts.join("");
}

function tooLarge(index: number, maxBytes: number): Fault {
  return new Fault("too_large", `Edit ${index}: the document would grow beyond ${maxBytes} bytes`, {
    hint: "Split the document.",
    details: { limit: maxBytes, step: index },
  });
}
