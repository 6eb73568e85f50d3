// Parts of a document's text: a range of lines or of characters, and no more of it than a caller takes at once.

import { z } from "zod";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { RANGE } from "../../lib/text-range.ts";

/** Which part; both ends count from 1 and are included. */
export interface PartRequest {
  /** `FROM-TO`, `FROM-` to the end, or one line. */
  lines?: string | undefined;
  /** The same in characters (UTF-16 code units, as JSON counts them). */
  chars?: string | undefined;
  /** Most characters to return. */
  maxChars?: number | undefined;
}

const LINE_FEED = 0x0a;
/** A range as an argument. */
export const rangeArgument = z.string().regex(RANGE, 'must be FROM-TO, FROM- or one number, such as "1-200"');

/** Where a part is within its document. */
export const partOfText = z.object({
  lines: z.string().describe("The lines it holds, the last perhaps not to its end."),
  chars: z.string(),
  total_lines: z.number().int(),
  total_chars: z.number().int().describe("Length of the whole document."),
  next: z.string().optional().describe("Pass it as chars, with the version, for what follows; absent at the end."),
});

/** A part and where it is; `part` is undefined where it is the whole text. */
export interface TextPart {
  text: string;
  part: z.infer<typeof partOfText> | undefined;
}

/** Returns a part of a text. Throws `invalid_input` for a range that begins behind its end. */
export function partOf(text: string, { lines, chars, maxChars = Number.POSITIVE_INFINITY }: PartRequest): TextPart {
  if (lines !== undefined && chars !== undefined)
    throw new Fault("invalid_input", "lines and chars cannot be given together", { hint: "Leave one of them out." });
  if (lines === undefined && chars === undefined && text.length <= maxChars) return { text, part: undefined };
  const range = lines === undefined ? charRange(text, chars ?? "1-") : lineRange(text, lines);
  const start = startOfCharacter(text, range.start);
  const end = endWithin(text, start, range.end, maxChars);
  const before = countLineEnds(text, 0, start);
  const within = countLineEnds(text, start, Math.max(start, end - 1));
  return {
    text: text.slice(start, end),
    part: {
      lines: `${before + 1}-${before + within + 1}`,
      chars: `${start + 1}-${end}`,
      total_lines: totalLines(text),
      total_chars: text.length,
      ...(end < text.length
        ? { next: `${end + 1}-${Math.min(text.length, end + Math.min(maxChars, end - start))}` }
        : {}),
    },
  };
}

/** Returns the number of lines: a line end at the end of the text begins no further line. */
export function totalLines(text: string): number {
  return countLineEnds(text, 0, text.length) + (text === "" || text.endsWith("\n") ? 0 : 1);
}

interface Offsets {
  start: number;
  end: number;
}

function charRange(text: string, range: string): Offsets {
  const { from, to } = parseRange(range);
  if (from > Math.max(1, text.length)) throw beyond("chars", range, counted(text.length, "character"));
  return { start: from - 1, end: Math.min(to, text.length) };
}

function lineRange(text: string, range: string): Offsets {
  const { from, to } = parseRange(range);
  const start = offsetOfLine(text, from);
  if (start === undefined) throw beyond("lines", range, counted(totalLines(text), "line"));
  return { start, end: to === Number.POSITIVE_INFINITY ? text.length : (offsetOfLine(text, to + 1) ?? text.length) };
}

function parseRange(range: string): { from: number; to: number } {
  const [, from, to] = RANGE.exec(range) ?? [];
  const first = Number(from);
  const last = to !== undefined ? Number(to) : range.endsWith("-") ? Number.POSITIVE_INFINITY : first;
  if (last >= first) return { from: first, to: last };
  throw new Fault("invalid_input", `The range ${range} ends before it begins`, { hint: `Write ${to}-${from}.` });
}

/** Returns where a line begins; undefined if the text has fewer. */
function offsetOfLine(text: string, line: number): number | undefined {
  let at = 0;
  for (let left = line - 1; left > 0; at++) {
    if (at >= text.length) return undefined;
    if (text.charCodeAt(at) === LINE_FEED) left--;
  }
  return at < text.length || line === 1 ? at : undefined;
}

/** Returns the end of a part of at most `maxChars`. A cut is at the end of a line if its second half has one. */
function endWithin(text: string, start: number, wanted: number, maxChars: number): number {
  if (wanted - start < maxChars) return isSplit(text, wanted) ? wanted + 1 : wanted;
  const cut = start + maxChars;
  if (wanted === cut && !isSplit(text, cut)) return cut;
  const line = text.lastIndexOf("\n", cut - 1) + 1;
  if (line > start + maxChars / 2) return line;
  if (!isSplit(text, cut)) return cut;
  // A character that alone is over the limit is returned all the same, or a reader would never get on.
  return cut - 1 > start ? cut - 1 : cut + 1;
}

/** Returns the offset, or the one before it if it is within a character of two code units. */
export function startOfCharacter(text: string, at: number): number {
  return isSplit(text, at) ? at - 1 : at;
}

/** Reports whether an offset is within a character of two code units. */
function isSplit(text: string, at: number): boolean {
  const before = text.charCodeAt(at - 1);
  const after = text.charCodeAt(at);
  return before >= 0xd800 && before < 0xdc00 && after >= 0xdc00 && after < 0xe000;
}

function countLineEnds(text: string, start: number, end: number): number {
  let count = 0;
  // Not by a search for each: a text may be nothing but line ends.
  for (let at = start; at < end; at++) if (text.charCodeAt(at) === LINE_FEED) count++;
  return count;
}

function beyond(name: string, range: string, length: string): Fault {
  return new Fault("invalid_input", `${name} ${range} begins after the end of the document, which has ${length}`, {
    hint: "Ask for an earlier part.",
  });
}
