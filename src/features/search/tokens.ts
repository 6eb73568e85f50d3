// Text as the index has it: words, pairs of characters in scripts without spaces, and runs of three characters, without
// case and accents, and facets, by which searches are narrowed. A token is plain text for FTS5: letters, digits, `_`,
// and characters beyond ASCII.

import { setImmediate as nextTurn } from "node:timers/promises";
import type { SearchedRow } from "../../operation/search-source.ts";

/** Longest word in characters; of a longer one only parts are found. */
const MAX_WORD = 64;
/** Characters of a text of which parts of words are found; words are found in all of it. */
export const MAX_PART_CHARS = 256 * 1024;
/** Characters that are read before other work gets a turn. */
const STEP_CHARS = 16 * 1024;

/** Begin a run of three characters, and a facet: no word has them. */
const PART = "\u{e000}";
const FACET = "\u{e001}";
const WORD = /[\p{L}\p{N}\p{M}_]+/gu;
/** The same in ASCII text, where it is several times faster, and what only words with seams have. */
const ASCII_WORD = /[0-9A-Za-z_]+/g;
const ASCII_SEAM = /[A-Z_]/;
/** Places at which an identifier has parts: `append_version`, `appendVersion`, `HTTPServer`. */
const SEAM = /_+|(?<=[\p{Ll}\p{N}])(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})/u;

/** Scripts whose words are not apart by spaces, or, as in Korean, have more written to their end. */
const UNSPACED = "Han Hiragana Katakana Hangul Bopomofo Thai Lao Khmer Myanmar Tibetan Yi"
  .split(" ")
  .map((script) => `\\p{Script_Extensions=${script}}`)
  .join("");
const HAS_UNSPACED = new RegExp(`[${UNSPACED}]`, "u");
/** A run of such characters, or of others. */
const RUN = new RegExp(`[${UNSPACED}][${UNSPACED}\\p{M}]*|[^${UNSPACED}]+`, "gu");
/** One of them with its marks. */
const CHARACTER = /\P{M}\p{M}*|^\p{M}+/gu;

/** Reports whether a word is of a script without spaces, of which pairs of characters are in the index. */
export function isUnspaced(word: string): boolean {
  return HAS_UNSPACED.test(word);
}

function isAscii(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII is meant
  return /^[\u0000-\u007f]*$/.test(text);
}

/** Returns a text without case and accents. */
export function folded(text: string): string {
  if (isAscii(text)) return text.toLowerCase();
  return text
    .normalize("NFKD")
    .replace(/\p{M}+/gu, "")
    .toLowerCase()
    .replace(/[\u{e000}\u{e001}]/gu, " ");
}

/** Returns the folded text with each run of white space as one space: what parts are compared in. */
export function flat(text: string): string {
  return folded(text).replace(/\s+/gu, " ");
}

/** One word in a text. */
export interface Found {
  start: number;
  end: number;
  /** The word without case and accents, then the parts of an identifier. */
  words: readonly string[];
  /** Of a script without spaces: two characters, one that is alone, or one that is in a pair too. */
  gram?: "pair" | "alone" | "in pair";
}

/** Returns the words of a text, in order; of scripts without spaces each pair of characters, and each character. */
export function* wordsIn(text: string): Generator<Found> {
  if (isAscii(text)) {
    for (const { 0: word, index } of text.matchAll(ASCII_WORD)) yield* asciiWordAt(word, index);
    return;
  }
  for (const match of text.matchAll(WORD)) {
    const [word] = match;
    if (!isUnspaced(word)) {
      yield* wordAt(word, match.index);
      continue;
    }
    for (const run of word.matchAll(RUN)) {
      const at = match.index + run.index;
      yield* isUnspaced(run[0]) ? gramsAt(run[0], at) : wordAt(run[0], at);
    }
  }
}

function* asciiWordAt(word: string, start: number): Generator<Found> {
  if (ASCII_SEAM.test(word)) yield* wordAt(word, start);
  else if (word.length <= MAX_WORD) yield { start, end: start + word.length, words: [word] };
}

function* wordAt(word: string, start: number): Generator<Found> {
  const parts = word.length > 2 * MAX_WORD ? [] : word.split(SEAM);
  const words = [word, ...(parts.length > 1 ? parts : [])].map(folded).filter(isWord);
  if (words.length > 0) yield { start, end: start + word.length, words };
}

function* gramsAt(run: string, at: number): Generator<Found> {
  const composed = run.normalize("NFC");
  // Of a decomposed run the places are those of all of it.
  const placed = composed.length === run.length;
  let before: { word: string; start: number } | undefined;
  for (const match of composed.matchAll(CHARACTER)) {
    const word = folded(match[0]).slice(0, MAX_WORD / 2);
    if (word === "") continue;
    const start = placed ? at + match.index : at;
    const end = placed ? start + match[0].length : at + run.length;
    if (before !== undefined) yield { start: before.start, end, words: [before.word + word], gram: "pair" };
    const isAlone = match[0].length === composed.length;
    yield { start, end, words: [word], gram: isAlone ? "alone" : "in pair" };
    before = { word, start };
  }
}

function isWord(word: string): boolean {
  return word !== "" && word.length <= MAX_WORD;
}

/** Returns the token of each run of three characters of a flat text that has no space. */
export function partTokens(text: string): string[] {
  const parts = new Set<number>();
  addParts(parts, text);
  return Array.from(parts, partToken);
}

const SPACE = 0x20;
const FACTOR = 0x10ec5;

/** Adds the hash of each run of three characters without a space: a number costs less than its token. */
function addParts(parts: Set<number>, text: string): void {
  let [before, last] = [SPACE, SPACE];
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (before !== SPACE && last !== SPACE && code !== SPACE)
      parts.add(Math.imul(Math.imul(before, FACTOR) ^ last, FACTOR) ^ code);
    before = last;
    last = code;
  }
}

function partToken(hash: number): string {
  return PART + (hash >>> 0).toString(36);
}

/** By what searches are narrowed. */
export type Facet = "kind" | "space" | "session" | "tag" | "from";

/** Returns the token of a facet. Other values may have the same one: a hit is compared with what was asked. */
export function facetToken(facet: Facet, value: string): string {
  return FACET + Bun.hash.xxHash32(`${facet}\n${value}`).toString(36);
}

/** Returns the names by which a row's author is found. */
export function authorsOf({ author, agent }: Pick<SearchedRow, "author" | "agent">): string[] {
  const plain = /^user:.+@/.test(author) ? [author.slice("user:".length)] : [];
  return [author, ...plain, ...(agent === "" ? [] : [agent])].map(folded);
}

/** Returns all tokens of a row. A long text is read in steps. */
export async function tokensOf(kind: string, row: SearchedRow): Promise<string> {
  const tokens = new Set([facetToken("kind", kind), facetToken("space", row.space)]);
  if (row.shown.session !== undefined) tokens.add(facetToken("session", row.shown.session));
  for (const tag of row.tags) tokens.add(facetToken("tag", tag));
  for (const name of authorsOf(row)) tokens.add(facetToken("from", name));
  const parts = new Set<number>();
  for (const text of [row.shown.id ?? "", row.title, ...row.tags, row.text()]) await addText(tokens, parts, text);
  for (const part of parts) tokens.add(partToken(part));
  return [...tokens].join(" ");
}

async function addText(tokens: Set<string>, parts: Set<number>, text: string): Promise<void> {
  let next = STEP_CHARS;
  for (const { words, start, end, gram } of wordsIn(text)) {
    // As many pairs as runs of three, at most.
    if (gram === undefined || start < MAX_PART_CHARS) for (const word of words) tokens.add(word);
    if (end < next) continue;
    // Pairs take longer than words.
    next = end + (gram === undefined ? STEP_CHARS : STEP_CHARS / 4);
    await nextTurn();
  }
  let before = "";
  for (let at = 0; at < Math.min(text.length, MAX_PART_CHARS); at += STEP_CHARS) {
    if (at > 0) await nextTurn();
    const step = flat(before + text.slice(at, at + STEP_CHARS));
    addParts(parts, step);
    before = step.slice(-2);
  }
}
