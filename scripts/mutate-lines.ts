// The mutants of a source in TypeScript or Go: each is the source with one small change on one line, outside of
// comments and literals. Works on text; scripts/mutants.ts runs the tests on them.

import { Random } from "../test/chaos/random.ts";
import { codeOnly, lineAt } from "./code-text.ts";

/** One changed source. */
export interface Mutant {
  /** From 1. */
  line: number;
  /** What was there, and what is there in its place; "" for nothing. */
  from: string;
  to: string;
  /** The line before and after the change, without the blanks around it. */
  before: string;
  after: string;
  /** The changed source, and which part of the source as it is has another text there. */
  source: string;
  at: number;
  length: number;
}

interface Change {
  at: number;
  from: string;
  to: string;
}

/** Text of code → what replaces it. Comparisons have blanks around them here (the formatter sees to it), types not. */
const BOTH: readonly (readonly [string, string])[] = [
  [" < ", " <= "],
  [" <= ", " < "],
  [" > ", " >= "],
  [" >= ", " > "],
  [" && ", " || "],
  [" || ", " && "],
  [" + 1", ""],
  [" - 1", ""],
];
const TYPESCRIPT: readonly (readonly [string, string])[] = [
  ...BOTH,
  [" === ", " !== "],
  [" !== ", " === "],
  ["Math.min(", "Math.max("],
  ["Math.max(", "Math.min("],
  [".some(", ".every("],
  [".every(", ".some("],
];
const GO: readonly (readonly [string, string])[] = [
  ...BOTH,
  [" == ", " != "],
  [" != ", " == "],
  ["min(", "max("],
  ["max(", "min("],
  // Within a longer expression gofmt leaves the blanks out.
  ["+1", ""],
  ["-1", ""],
];
const TRUTH = /\b(?:true|false)\b/g;
/** An `if` on a line of its own that only leaves. */
const LEAVES = /^[ \t]*(if \(.*\) (?:throw|return|continue|break)\b.*;)$/gm;
/** The condition of a Go `if` whose body only leaves. `err != nil` alone passes on what failed outside: no rule. */
const GO_LEAVES =
  /(?<=^[ \t]*if (?:[^\n]*; )?)(?![^\n]*; |err != nil \{)[^\n]+(?= \{\n[ \t]*(?:return|continue|break)\b[^\n]*\n[ \t]*\}$)/gm;
/** A default of one word, number or empty literal; what is longer would need its end found. */
const DEFAULT = / \?\? (?:[\w.]+(?:\(\))?|\[\]|\{\})(?=[,;)\]}\s])/g;

/** Returns the mutants of a source in the order of their places. Not all of those of Go compile. */
export function mutantsOf(source: string, language: "TypeScript" | "Go" = "TypeScript"): Mutant[] {
  const code = codeOnly(source);
  const changes = swaps(code, language === "Go" ? GO : TYPESCRIPT);
  for (const { index, 0: from } of code.matchAll(TRUTH))
    changes.push({ at: index, from, to: from === "true" ? "false" : "true" });
  if (language === "Go") {
    for (const { index: at, 0: blanked } of code.matchAll(GO_LEAVES)) {
      const from = source.slice(at, at + blanked.length);
      // What the condition names stays in use, which Go asks for.
      changes.push({ at, from, to: `false && (${from})` });
    }
  } else {
    for (const { index, 0: line, 1: blanked = "" } of code.matchAll(LEAVES)) {
      const at = index + line.length - blanked.length;
      changes.push({ at, from: source.slice(at, at + blanked.length), to: "" });
    }
    for (const { index, 0: from } of code.matchAll(DEFAULT)) changes.push({ at: index, from, to: "" });
  }
  return changes
    .filter(({ at }) => !isType(code, at))
    .sort((one, other) => one.at - other.at)
    .map((change) => mutant(source, change));
}

function swaps(code: string, table: typeof BOTH): Change[] {
  const changes: Change[] = [];
  for (const [from, to] of table)
    for (let at = code.indexOf(from); at >= 0; at = code.indexOf(from, at + 1)) {
      // ` + 1` is no part of ` + 10`, and `min(` none of `admin(`.
      if (/\d$/.test(from) && /[\w.]/.test(code[at + from.length] ?? "")) continue;
      if (/^[a-z]/.test(from) && /[\w.]/.test(code[at - 1] ?? "")) continue;
      changes.push({ at, from, to });
    }
  return changes;
}

function mutant(source: string, { at, from, to }: Change): Mutant {
  const place = at + from.length - from.trimStart().length;
  const changed = source.slice(0, at) + to + source.slice(at + from.length);
  const line = lineAt(source, place);
  const lineOf = (text: string) => text.split("\n")[line - 1]?.trim() ?? "";
  return {
    line,
    from: from.trim(),
    to: to.trim(),
    before: lineOf(source),
    after: lineOf(changed),
    source: changed,
    at,
    length: from.length,
  };
}

/** Reports whether a line is an import or a type, which say nothing when a test runs. */
function isType(code: string, at: number): boolean {
  const start = code.lastIndexOf("\n", at) + 1;
  return /^\s*(?:import|export type|type|interface|readonly [\w#]+\??:(?!.*=)|[\w#]+\?: )/.test(code.slice(start));
}

/** Returns `count` of the values, drawn with a seed, in their order. */
export function sample<T>(values: readonly T[], count: number, seed: number): T[] {
  const chosen = new Set(new Random(seed).shuffled([...values.keys()]).slice(0, count));
  return values.filter((_, index) => chosen.has(index));
}
