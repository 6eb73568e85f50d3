// The outline of a document: the headings of a text, or the keys of a JSON document, each with the characters that
// belong to it, so that a reader of a long document can ask for one part of it.

import { z } from "zod";
import { formatPointer } from "../../lib/json-pointer.ts";
import { endOfString } from "../../lib/json-text.ts";

/** Most entries of an outline. */
const MAX_ENTRIES = 500;
/** Depth of the keys of JSON that are listed. */
const MAX_DEPTH = 2;
/** Longest heading or pointer in an outline, in characters. */
const MAX_NAME = 200;

/** One entry. */
export const outlineEntry = z.object({
  name: z.string().describe("The heading, or the JSON pointer of the key."),
  level: z.number().int().describe("1 for the highest."),
  chars: z.string().describe("Pass it as chars to read this part, with what is below it."),
  size: z.number().int().describe("Characters of this part."),
  type: z.string().optional().describe("Of a key: the type of its value."),
  items: z.number().int().optional().describe("Of an array or object: its number of items."),
});

type Entry = z.infer<typeof outlineEntry>;

/** An outline of at most MAX_ENTRIES. */
export interface Outline {
  entries: Entry[];
  /** There are more. */
  isCut: boolean;
}

function entry(name: string, level: number, start: number, end: number): Entry {
  return { name: name.slice(0, MAX_NAME), level, chars: `${start + 1}-${end}`, size: end - start };
}

/** What a heading or a fence begins with, after up to three spaces. */
const MARKED = / {0,3}(?:#{1,6}[ \t\r\n]|#{1,6}$|```|~~~)/y;

/** Returns the headings of a text in Markdown (`#` to `######`), each with its section. */
export function headingsOf(text: string): Outline {
  const found: { name: string; level: number; start: number }[] = [];
  let fence: string | undefined;
  for (let start = 0; start < text.length; ) {
    const lineEnd = text.indexOf("\n", start);
    const end = lineEnd < 0 ? text.length : lineEnd;
    MARKED.lastIndex = start;
    const line = MARKED.test(text) ? text.slice(start, Math.min(end, start + 2 * MAX_NAME)) : "";
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    const level = fence === undefined ? (/^ {0,3}(#{1,6})(?:[ \t]|\r?$)/.exec(line)?.[1]?.length ?? 0) : 0;
    if (mark !== undefined) fence = nextFence(fence, mark);
    else if (level > 0) found.push({ name: headingText(line), level, start });
    if (found.length > MAX_ENTRIES) break;
    start = end + 1;
  }
  const entries = found.slice(0, MAX_ENTRIES).map(({ name, level, start }, index) => {
    const next = found.slice(index + 1).find((other) => other.level <= level);
    return entry(name, level, start, next?.start ?? text.length);
  });
  return { entries, isCut: found.length > MAX_ENTRIES };
}

/** A fence ends with one of the same character that is not shorter. */
function nextFence(open: string | undefined, mark: string): string | undefined {
  if (open === undefined) return mark;
  return mark[0] === open[0] && mark.length >= open.length ? undefined : open;
}

function headingText(line: string): string {
  return line
    .trim()
    .replace(/^#+/, "")
    .trimStart()
    .replace(/(^| )#+$/, "")
    .trimEnd();
}

/** Returns the keys and items of a valid JSON text, those of the highest levels. */
export function keysOf(text: string): Outline {
  const scan = new JsonScan(text);
  scan.value("", 0);
  return { entries: scan.entries, isCut: scan.isCut };
}

/** One pass over valid JSON text, by character codes: a long text is looked through in one piece. */
class JsonScan {
  readonly entries: Entry[] = [];
  isCut = false;
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** Moves over the value at this place, and adds its members. Nesting is bounded by what was stored. */
  value(pointer: string, depth: number): Found {
    this.#skipSpace();
    const start = this.#at;
    switch (this.#text.charCodeAt(start)) {
      case OPEN_OBJECT:
        return { type: "object", items: this.#members(pointer, depth, true) };
      case OPEN_ARRAY:
        return { type: "array", items: this.#members(pointer, depth, false) };
      case QUOTE:
        this.#string();
        return { type: "string" };
    }
    while (this.#at < this.#text.length && !isEnd(this.#text.charCodeAt(this.#at))) this.#at++;
    return { type: WORDS[this.#text[start] ?? ""] ?? "number" };
  }

  #members(pointer: string, depth: number, isObject: boolean): number {
    const close = isObject ? CLOSE_OBJECT : CLOSE_ARRAY;
    let items = 0;
    this.#at++;
    for (this.#skipSpace(); this.#text.charCodeAt(this.#at) !== close; this.#skipSpace()) {
      if (this.#text.charCodeAt(this.#at) === COMMA) {
        this.#at++;
        continue;
      }
      const isShown = depth < MAX_DEPTH && this.entries.length < MAX_ENTRIES;
      const key = isObject ? this.#key(isShown) : String(items);
      this.#skipSpace();
      if (isShown) this.#member(pointer + formatPointer([key]), depth + 1);
      else {
        if (depth < MAX_DEPTH) this.isCut = true;
        this.value("", depth + 1);
      }
      items++;
    }
    this.#at++;
    return items;
  }

  #member(pointer: string, level: number): void {
    const start = this.#at;
    // Added before those below it, and completed after them.
    const added = entry(pointer, level, 0, 0);
    this.entries.push(added);
    const found = this.value(pointer, level);
    Object.assign(added, entry(pointer, level, start, this.#at), found);
  }

  /** Moves to the value of a key. Returns the key, or "" where it is not wanted. */
  #key(isWanted: boolean): string {
    const start = this.#at;
    this.#string();
    const key: string = isWanted ? JSON.parse(this.#text.slice(start, this.#at)) : "";
    this.#skipSpace();
    this.#at++;
    return key;
  }

  #string(): void {
    this.#at = endOfString(this.#text, this.#at) + 1;
  }

  #skipSpace(): void {
    while (isSpace(this.#text.charCodeAt(this.#at))) this.#at++;
  }
}

interface Found {
  type: string;
  items?: number;
}

const [OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY, QUOTE, COMMA] = [0x7b, 0x7d, 0x5b, 0x5d, 0x22, 0x2c];
const [TAB, LINE_FEED, RETURN, SPACE] = [0x09, 0x0a, 0x0d, 0x20];
/** The type of a value by its first letter. */
const WORDS: Readonly<Record<string, string>> = { n: "null", t: "boolean", f: "boolean" };

function isSpace(code: number): boolean {
  return code === SPACE || code === LINE_FEED || code === TAB || code === RETURN;
}

/** Reports whether a number or word is over before this character. */
function isEnd(code: number): boolean {
  return code === COMMA || code === CLOSE_ARRAY || code === CLOSE_OBJECT || isSpace(code);
}
