// Line ends of a document and of its edits: models write \n whatever a document has, and mean its line ends.

import { findAll } from "../../lib/find-all.ts";

/** A stretch of a text: from `start` up to `end`, which is not part of it. */
export interface Place {
  start: number;
  end: number;
}

/** Returns the first line end of a text, or of a part of it; undefined if there is none. */
export function lineEndOf(text: string, { start, end }: Place = { start: 0, end: text.length }): string | undefined {
  const at = text.indexOf("\n", start);
  if (at < 0 || at >= end) return undefined;
  return text[at - 1] === "\r" ? "\r\n" : "\n";
}

/** Returns the text with these line ends; undefined: as it is. */
export function withLineEnds(text: string, end: string | undefined): string {
  if (end === undefined || !text.includes("\n")) return text;
  const plain = text.replaceAll("\r\n", "\n");
  return end === "\n" ? plain : plain.replaceAll("\n", end);
}

/**
 * Returns the places of `needle`, left to right and not overlapping. If they are not as many as expected as they are
 * written, or begin within a \r\n, those where \n and \r\n stand for each other.
 */
export function findOverLineEnds(text: string, needle: string, expected: number): Place[] {
  const exact = findAll(text, needle).map((start) => ({ start, end: start + needle.length }));
  if (!needle.includes("\n")) return exact;
  if (exact.length === expected && !exact.some(({ start }) => needle[0] === "\n" && text[start - 1] === "\r"))
    return exact;
  const plain = text.replaceAll("\r\n", "\n");
  const wanted = needle.replaceAll("\r\n", "\n");
  if (plain.length === text.length && wanted.length === needle.length) return exact;
  return inOriginal(text, findAll(plain, wanted), wanted.length);
}

/** Returns where places of a text without its carriage returns are in the text itself. */
function inOriginal(text: string, starts: readonly number[], length: number): Place[] {
  let removed = 0;
  let next = text.indexOf("\r\n");
  const original = (at: number): number => {
    for (; next >= 0 && next - removed < at; next = text.indexOf("\r\n", next + 2)) removed++;
    return at + removed;
  };
  return starts.map((start) => ({ start: original(start), end: original(start + length) }));
}
