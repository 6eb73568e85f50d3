// The difference of two texts as a unified diff, by jsdiff. Its work is bounded by an edit distance, not by a time
// limit, so that the same texts always give the same answer; beyond the bound, everything between the equal ends is
// replaced.

import { createTwoFilesPatch, formatPatch, OMIT_HEADERS } from "diff";

/** Unchanged lines shown around a change. */
const CONTEXT = 3;
/** Lines that may differ. About a second of work at worst, for texts of a million lines. */
const MAX_DIFFERENT_LINES = 1000;

/** A diff, and whether it is small. */
export interface TextDiff {
  /** Hunks as `diff -u` writes them, without file names; "" for equal texts. */
  text: string;
  /** The diff is correct but not small: the texts differ too much. */
  coarse: boolean;
}

/** Returns the unified diff from one text to another. Deterministic. */
export function diffText(from: string, to: string): TextDiff {
  if (from === to) return { text: "", coarse: false };
  const options = { context: CONTEXT, maxEditLength: MAX_DIFFERENT_LINES, headerOptions: OMIT_HEADERS };
  const text = createTwoFilesPatch("", "", from, to, undefined, undefined, options);
  return text === undefined ? { text: replaceMiddle(from, to), coarse: true } : { text, coarse: false };
}

/** Returns one hunk that replaces everything between the equal beginnings and ends of two texts. */
function replaceMiddle(from: string, to: string): string {
  const old = linesOf(from);
  const now = linesOf(to);
  const shorter = Math.min(old.length, now.length);
  let start = 0;
  while (start < shorter && old[start] === now[start]) start++;
  let end = 0;
  while (end < shorter - start && old.at(-1 - end) === now.at(-1 - end)) end++;
  const first = Math.max(0, start - CONTEXT);
  const after = Math.min(end, CONTEXT);
  const lines = [
    ...marked(" ", old.slice(first, start)),
    ...marked("-", old.slice(start, old.length - end)),
    ...marked("+", now.slice(start, now.length - end)),
    ...marked(" ", old.slice(old.length - end, old.length - end + after)),
  ];
  const hunk = {
    oldStart: first + 1,
    oldLines: old.length - end + after - first,
    newStart: first + 1,
    newLines: now.length - end + after - first,
    lines,
  };
  return formatPatch(
    { oldFileName: "", newFileName: "", oldHeader: undefined, newHeader: undefined, hunks: [hunk] },
    OMIT_HEADERS,
  );
}

/** Returns the lines of a text with their line ends; the last line may have none. */
function linesOf(text: string): string[] {
  return text === "" ? [] : text.split(/(?<=\n)/);
}

function marked(mark: " " | "-" | "+", lines: readonly string[]): string[] {
  return lines.flatMap((line) =>
    line.endsWith("\n") ? `${mark}${line.slice(0, -1)}` : [`${mark}${line}`, "\\ No newline at end of file"],
  );
}
