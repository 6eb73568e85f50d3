// The mutants of a source: each is the source with one small change on one line, outside of comments and literals.
// Works on text; scripts/mutants.ts runs the tests on them.

import { codeOnly, lineAt } from "./code-text.ts";

/** One changed source. */
export interface Mutant {
  /** From 1. */
  line: number;
  /** What was there, and what is there in its place; "" for nothing. */
  from: string;
  to: string;
  source: string;
}

/** Text of code → what replaces it. Comparisons have blanks around them here (the formatter sees to it), types not. */
const SWAPS: readonly (readonly [string, string])[] = [
  [" === ", " !== "],
  [" !== ", " === "],
  [" < ", " <= "],
  [" <= ", " < "],
  [" > ", " >= "],
  [" >= ", " > "],
  [" && ", " || "],
  [" || ", " && "],
  ["Math.min(", "Math.max("],
  ["Math.max(", "Math.min("],
  [".some(", ".every("],
  [".every(", ".some("],
  [" + 1", ""],
  [" - 1", ""],
];
const TRUTH = /\b(?:true|false)\b/g;
/** An `if` on a line of its own that only leaves. */
const LEAVES = /^[ \t]*(if \(.*\) (?:throw|return|continue|break)\b.*;)$/gm;
/** A default of one word, number or empty literal; what is longer would need its end found. */
const DEFAULT = / \?\? (?:[\w.]+(?:\(\))?|\[\]|\{\})(?=[,;)\]}\s])/g;

/** Returns the mutants of a source in the order of their places. */
export function mutantsOf(source: string): Mutant[] {
  const code = codeOnly(source);
  const found: { at: number; from: string; to: string }[] = [];
  for (const [from, to] of SWAPS)
    for (let at = code.indexOf(from); at >= 0; at = code.indexOf(from, at + 1))
      // ` + 1` is no part of ` + 10`.
      if (!/\d$/.test(from) || !/[\w.]/.test(code[at + from.length] ?? "")) found.push({ at, from, to });
  for (const { index, 0: from } of code.matchAll(TRUTH))
    found.push({ at: index, from, to: from === "true" ? "false" : "true" });
  for (const { index, 0: line, 1: from = "" } of code.matchAll(LEAVES)) {
    const at = index + line.length - from.length;
    found.push({ at, from: source.slice(at, at + from.length), to: "" });
  }
  for (const { index, 0: from } of code.matchAll(DEFAULT)) found.push({ at: index, from, to: "" });
  return found
    .filter(({ at }) => !isType(code, at))
    .sort((one, other) => one.at - other.at)
    .map(({ at, from, to }) => ({
      line: lineAt(source, at + from.length - from.trimStart().length),
      from: from.trim(),
      to: to.trim(),
      source: source.slice(0, at) + to + source.slice(at + from.length),
    }));
}

/** Reports whether a line is an import or a type, which say nothing when a test runs. */
function isType(code: string, at: number): boolean {
  const start = code.lastIndexOf("\n", at) + 1;
  return /^\s*(?:import|export type|type|interface|readonly [\w#]+\??:(?!.*=)|[\w#]+\?: )/.test(code.slice(start));
}

/** Returns `count` of the values, drawn with a seed, in their order. */
export function sample<T>(values: readonly T[], count: number, seed: number): T[] {
  let state = seed >>> 0;
  const draw = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state;
  };
  const drawn = values.map((_, index) => ({ index, order: draw() })).sort((one, other) => one.order - other.order);
  const chosen = new Set(drawn.slice(0, count).map(({ index }) => index));
  return values.filter((_, index) => chosen.has(index));
}
