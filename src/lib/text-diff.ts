// The difference of two texts as a unified diff, by jsdiff. Its work is bounded by an edit distance, not by a time
// limit, so that the same texts always give the same answer; beyond the bound, everything between the equal ends is
// replaced. What takes long leaves the event loop free between its steps.

import { createTwoFilesPatch, formatPatch, OMIT_HEADERS } from "diff";

/** Unchanged lines shown around a change. */
const CONTEXT = 3;
/** Lines that may differ. About a second of work at worst, for texts of a million lines. */
const MAX_DIFFERENT_LINES = 1000;
/** Up to so many it is done at once, in a few milliseconds beside what is linear in the texts. */
const FEW_DIFFERENT_LINES = 100;
/** Units of work (work.ts): each byte is split, compared and joined; each step of the search tries all paths so far. */
const DIFF_BYTE = 20;
const DIFF_PATH = 500;

/** A diff, and whether it is small. */
export interface TextDiff {
  /** Hunks as `diff -u` writes them, without file names; "" for equal texts. */
  text: string;
  /** The diff is correct but not small: the texts differ too much. */
  coarse: boolean;
  /** Units of work that it took, about. */
  work: number;
}

/** Resolves with the unified diff from one text to another. Deterministic. */
export async function diffText(from: string, to: string): Promise<TextDiff> {
  const linear = DIFF_BYTE * (from.length + to.length);
  if (from === to) return { text: "", coarse: false, work: linear };
  const few = createTwoFilesPatch("", "", from, to, undefined, undefined, optionsWithin(FEW_DIFFERENT_LINES));
  if (few !== undefined) return { text: few, coarse: false, work: linear + searchWork(few) };
  const text = await diffInSteps(from, to);
  return text === undefined
    ? { text: replaceMiddle(from, to), coarse: true, work: linear + pathsOf(MAX_DIFFERENT_LINES) }
    : { text, coarse: false, work: linear + searchWork(text) };
}

function optionsWithin(maxEditLength: number) {
  return { context: CONTEXT, maxEditLength, headerOptions: OMIT_HEADERS };
}

/** With a callback jsdiff makes each step of its search in a turn of its own. */
function diffInSteps(from: string, to: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    createTwoFilesPatch("", "", from, to, undefined, undefined, {
      ...optionsWithin(MAX_DIFFERENT_LINES),
      callback: resolve,
    });
  });
}

function pathsOf(differentLines: number): number {
  return (DIFF_PATH * differentLines ** 2) / 2;
}

function searchWork(diff: string): number {
  return pathsOf(diff.match(/^[-+]/gm)?.length ?? 0);
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
