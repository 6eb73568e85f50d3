// Says where a text stops being JSON, by line and column. The runtime's own message has no place; which texts are JSON
// is still decided by JSON.parse.

const BLANK = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const WORD = /true|false|null/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
/** Characters of the text that a message shows. */
const SHOWN = 20;
/** Characters that are looked at: a large body that is no JSON must not hold up the node for its message. */
const MAX_SCANNED = 256 * 1024;
/** No token that a cut may break is longer than this, behind the last place at which it could still be whole. */
const MAX_BROKEN = 8;

/** What may come next, in words for the message. */
type Wanted = "a value" | "a value or ]" | "a key in double quotes" | "a key in double quotes or }" | ":" | End;
type End = "the end" | ", or ]" | ", or }";

/**
 * Returns the first problem of a text that JSON.parse refused, such as `line 2, column 5: expected ":", found "x"`; for
 * one far behind in a large text, after which place it is.
 */
export function describeJsonError(text: string): string {
  const scan = new Scan(text.slice(0, MAX_SCANNED));
  const { at, wanted } = scan.run();
  const isBehind = text.length > MAX_SCANNED && scan.at >= MAX_SCANNED - MAX_BROKEN;
  const before = text.slice(0, isBehind ? MAX_SCANNED : at);
  const line = before.split("\n").length;
  const column = before.length - before.lastIndexOf("\n");
  if (isBehind) return `the problem is after line ${line}, column ${column}`;
  const found = at >= text.length ? "the text ends" : `found ${JSON.stringify(text.slice(at, at + SHOWN))}`;
  return `line ${line}, column ${column}: expected ${wanted}, ${found}`;
}

class Scan {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** How far the scan has come. */
  get at(): number {
    return this.#at;
  }

  /** Returns where the text stops being JSON, and what JSON would have there. */
  run(): { at: number; wanted: Wanted | string } {
    const open: ("[" | "{")[] = [];
    let wanted: Wanted = "a value";
    for (;;) {
      this.#take(BLANK);
      const char = this.#text[this.#at] ?? "";
      const ends = wanted.endsWith(`or ${char}`) && char !== "";
      if (ends) {
        open.pop();
        this.#at += 1;
        wanted = after(open);
      } else if (wanted === ":" && char === ":") {
        this.#at += 1;
        wanted = "a value";
      } else if (wanted.startsWith(", or") && char === ",") {
        this.#at += 1;
        wanted = open.at(-1) === "{" ? "a key in double quotes" : "a value";
      } else if (wanted.startsWith("a key") && char === '"') {
        const problem = this.#string();
        if (problem !== undefined) return problem;
        wanted = ":";
      } else if (wanted.startsWith("a value") && (char === "[" || char === "{")) {
        open.push(char);
        this.#at += 1;
        wanted = char === "[" ? "a value or ]" : "a key in double quotes or }";
      } else if (wanted.startsWith("a value") && char === '"') {
        const problem = this.#string();
        if (problem !== undefined) return problem;
        wanted = after(open);
      } else if (wanted.startsWith("a value") && (this.#take(NUMBER) || this.#take(WORD))) {
        wanted = after(open);
      } else return { at: this.#at, wanted };
    }
  }

  /** Moves behind a string. Returns the problem where it has one. */
  #string(): { at: number; wanted: string } | undefined {
    const start = this.#at;
    for (this.#at += 1; this.#at < this.#text.length; ) {
      const char = this.#text[this.#at] ?? "";
      if (char === '"') {
        this.#at += 1;
        return undefined;
      }
      if (char < " ") return { at: this.#at, wanted: "an escape such as \\n for a control character" };
      if (char !== "\\") this.#at += 1;
      else if (!this.#take(ESCAPE)) return { at: this.#at, wanted: "an escape such as \\n or \\u00e9" };
    }
    return { at: start, wanted: "a string that ends with a double quote" };
  }

  /** Moves behind what the pattern finds here. Returns whether it found any character. */
  #take(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    const length = pattern.exec(this.#text)?.[0].length ?? 0;
    this.#at += length;
    return length > 0;
  }
}

function after(open: readonly ("[" | "{")[]): Wanted {
  const inner = open.at(-1);
  if (inner === undefined) return "the end";
  return inner === "[" ? ", or ]" : ", or }";
}
