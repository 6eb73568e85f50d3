// The syntax of patterns: what regular expressions share that needs no backtracking. Characters are code units; a
// character beyond U+FFFF is two of them, one after the other.

import { Fault } from "./fault.ts";

/** Number of code units. */
export const ALL_UNITS = 0x10000;

type Ranges = readonly (readonly [number, number])[];

/** A set of code units as ranges, both ends included: sorted, and with gaps between them. */
export interface UnitSet {
  ranges: Ranges;
}

/** Reports whether a code unit is in the set. */
export function isInSet({ ranges }: UnitSet, unit: number): boolean {
  let low = 0;
  for (let high = ranges.length; low < high; ) {
    const middle = (low + high) >> 1;
    if ((ranges[middle]?.[1] ?? 0) < unit) low = middle + 1;
    else high = middle;
  }
  return (ranges[low]?.[0] ?? ALL_UNITS) <= unit;
}

/** A parsed pattern. */
export type Node =
  | { kind: "set"; set: UnitSet }
  | { kind: "sequence" | "choice"; parts: readonly Node[] }
  | { kind: "repeat"; part: Node; min: number; max: number }
  | { kind: "start" | "end" };

/** Most repetitions that `{m,n}` may name. */
const MAX_REPEAT = 200;
const MAX_DEPTH = 50;

const DIGIT: UnitSet = { ranges: [[0x30, 0x39]] };
const WORD: UnitSet = {
  ranges: [
    [0x30, 0x39],
    [0x41, 0x5a],
    [0x5f, 0x5f],
    [0x61, 0x7a],
  ],
};
const SPACE: UnitSet = {
  ranges: [
    [0x09, 0x0d],
    [0x20, 0x20],
    [0xa0, 0xa0],
    [0x1680, 0x1680],
    [0x2000, 0x200a],
    [0x2028, 0x2029],
    [0x202f, 0x202f],
    [0x205f, 0x205f],
    [0x3000, 0x3000],
    [0xfeff, 0xfeff],
  ],
};
const CLASSES: Readonly<Record<string, UnitSet>> = {
  d: DIGIT,
  w: WORD,
  s: SPACE,
  D: inverted(DIGIT),
  W: inverted(WORD),
  S: inverted(SPACE),
};
const CONTROLS: Readonly<Record<string, string>> = { t: "\t", r: "\r", f: "\f", v: "\v" };

/** Parses a pattern for single lines. Throws `invalid_input`. */
export function parsePattern(pattern: string, options: { literal?: boolean; ignoreCase?: boolean }): Node {
  if (options.literal === true) {
    const parts = codeUnitsOf(pattern).map((unit) => oneOf(unit, options.ignoreCase === true));
    return { kind: "sequence", parts };
  }
  return new Parser(pattern, options.ignoreCase === true).parse();
}

function codeUnitsOf(text: string): number[] {
  return Array.from({ length: text.length }, (_, at) => text.charCodeAt(at));
}

function oneOf(unit: number, ignoreCase: boolean): Node {
  const units = [unit, ...(ignoreCase ? otherCasesOf(unit) : [])];
  return { kind: "set", set: setOf(units.map((each) => [each, each] as const)) };
}

function otherCasesOf(unit: number): number[] {
  const character = String.fromCharCode(unit);
  const others = [character.toLowerCase(), character.toUpperCase()];
  return others.flatMap((other) => (other.length === 1 && other !== character ? [other.charCodeAt(0)] : []));
}

/** Returns the set of what is in any of these ranges. */
function setOf(ranges: Ranges): UnitSet {
  const merged: [number, number][] = [];
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const before = merged.at(-1);
    if (before === undefined || first > before[1] + 1) merged.push([first, last]);
    else before[1] = Math.max(before[1], last);
  }
  return { ranges: merged };
}

function inverted({ ranges }: UnitSet): UnitSet {
  const gaps: [number, number][] = [];
  let from = 0;
  for (const [first, last] of ranges) {
    if (first > from) gaps.push([from, first - 1]);
    from = last + 1;
  }
  if (from < ALL_UNITS) gaps.push([from, ALL_UNITS - 1]);
  return { ranges: gaps };
}

/** Every letter that has another case, with the other ones. Made when a pattern needs it first. */
let cased: readonly (readonly [number, readonly number[]])[] | undefined;

/** Adds letters of the other case. */
function withBothCases(set: UnitSet): UnitSet {
  cased ??= letterCases();
  const more = cased.flatMap(([unit, others]) => (isInSet(set, unit) ? others : []));
  return setOf([...set.ranges, ...more.map((each) => [each, each] as const)]);
}

function letterCases(): (readonly [number, readonly number[]])[] {
  const all = Array.from({ length: ALL_UNITS }, (_, unit) => String.fromCharCode(unit)).join("");
  return Array.from(
    all.matchAll(/\p{Changes_When_Casemapped}/gu),
    ({ index }) => [index, otherCasesOf(index)] as const,
  );
}

class Parser {
  readonly #text: string;
  readonly #ignoreCase: boolean;
  #at = 0;
  #depth = 0;

  constructor(text: string, ignoreCase: boolean) {
    this.#text = text;
    this.#ignoreCase = ignoreCase;
  }

  parse(): Node {
    const node = this.#choice();
    if (this.#at < this.#text.length) throw this.#refusal("a ) without its (");
    return node;
  }

  #choice(): Node {
    if (++this.#depth > MAX_DEPTH) throw this.#refusal(`more than ${MAX_DEPTH} levels of brackets`);
    const parts = [this.#sequence()];
    while (this.#takes("|")) parts.push(this.#sequence());
    this.#depth--;
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : { kind: "choice", parts };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    while (this.#at < this.#text.length && !"|)".includes(this.#text[this.#at] ?? "")) parts.push(this.#repeated());
    return { kind: "sequence", parts };
  }

  #repeated(): Node {
    let part = this.#atom();
    for (;;) {
      const counts = this.#counts();
      if (counts === undefined) return part;
      // Lazy or greedy is the same here: a line matches or it does not.
      this.#takes("?");
      part = { kind: "repeat", part, ...counts };
    }
  }

  #counts(): { min: number; max: number } | undefined {
    if (this.#takes("*")) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (this.#takes("+")) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (this.#takes("?")) return { min: 0, max: 1 };
    const [whole, low, comma, high] =
      /^\{(\d{1,6})(,)?(\d{1,6})?\}/.exec(this.#text.slice(this.#at, this.#at + 20)) ?? [];
    if (whole === undefined) return undefined;
    this.#at += whole.length;
    const min = Number(low);
    const max = comma === undefined ? min : high === undefined ? Number.POSITIVE_INFINITY : Number(high);
    const largest = max === Number.POSITIVE_INFINITY ? min : max;
    if (max < min || largest > MAX_REPEAT) throw this.#refusal(`${whole}; at most ${MAX_REPEAT} can be counted`);
    return { min, max };
  }

  #atom(): Node {
    const character = this.#text[this.#at++] ?? "";
    switch (character) {
      case "(":
        return this.#group();
      case "[":
        return { kind: "set", set: this.#class() };
      case ".":
        return { kind: "set", set: inverted({ ranges: [[0x0a, 0x0a]] }) };
      case "^":
        return { kind: "start" };
      case "$":
        return { kind: "end" };
      case "\\":
        return this.#escape();
      case "*":
      case "+":
      case "?":
        throw this.#refusal(`a ${character} after nothing`);
    }
    return oneOf(character.charCodeAt(0), this.#ignoreCase);
  }

  #group(): Node {
    if (this.#takes("?") && !this.#takes(":"))
      throw this.#refusal("(?, which needs more than linear time or has flags");
    const node = this.#choice();
    if (!this.#takes(")")) throw this.#refusal("a ( without its )");
    return node;
  }

  #escape(): Node {
    const set = this.#escaped();
    return typeof set === "number" ? oneOf(set, this.#ignoreCase) : { kind: "set", set };
  }

  /** Returns a set, or the code unit that an escape stands for. */
  #escaped(): UnitSet | number {
    const character = this.#text[this.#at++];
    if (character === undefined) throw this.#refusal("a \\ at its end");
    const set = Object.hasOwn(CLASSES, character) ? CLASSES[character] : undefined;
    if (set !== undefined) return set;
    const control = Object.hasOwn(CONTROLS, character) ? CONTROLS[character] : undefined;
    if (control !== undefined) return control.charCodeAt(0);
    const hex = character === "u" ? /^[0-9A-Fa-f]{4}/.exec(this.#text.slice(this.#at, this.#at + 4))?.[0] : undefined;
    if (hex !== undefined) {
      this.#at += 4;
      return Number.parseInt(hex, 16);
    }
    if (/[A-Za-z0-9]/.test(character)) throw this.#refusal(`\\${character}`);
    return character.charCodeAt(0);
  }

  #class(): UnitSet {
    const isInverted = this.#takes("^");
    const ranges: (readonly [number, number])[] = [];
    for (let isFirst = true; isFirst || this.#text[this.#at] !== "]"; isFirst = false) {
      if (this.#at >= this.#text.length) throw this.#refusal("a [ without its ]");
      const first = this.#member();
      if (typeof first !== "number") {
        ranges.push(...first.ranges);
        continue;
      }
      const isRange = this.#text[this.#at] === "-" && this.#text[this.#at + 1] !== "]";
      if (isRange) this.#at++;
      const last = isRange ? this.#member() : first;
      if (typeof last !== "number" || last < first) throw this.#refusal("a range in [ ] that is none");
      ranges.push([first, last]);
    }
    this.#at++;
    const set = this.#ignoreCase ? withBothCases(setOf(ranges)) : setOf(ranges);
    return isInverted ? inverted(setOf([...set.ranges, [0x0a, 0x0a]])) : set;
  }

  #member(): UnitSet | number {
    const character = this.#text[this.#at++] ?? "";
    if (character === "\\") return this.#escaped();
    const unit = character.charCodeAt(0);
    if (unit >= 0xd800 && unit < 0xe000) throw this.#refusal("a character beyond U+FFFF in [ ]");
    return unit;
  }

  #takes(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #refusal(what: string): Fault {
    return new Fault("invalid_input", `The pattern ${JSON.stringify(this.#text.slice(0, 100))} has ${what}`, {
      hint:
        "Known are . [ ] ( ) | * + ? {m,n} ^ $ \\d \\w \\s and \\ before a sign; " +
        "literal (--literal in a shell) takes all signs as they are.",
    });
  }
}
