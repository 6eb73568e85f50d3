// Parses untrusted JSON text and refuses what parsers disagree on (security.md 22): duplicate keys, lone surrogates,
// deep nesting. `__proto__` and `constructor` are plain keys here, as JSON.parse makes them.

import { Fault } from "./fault.ts";
import { describeJsonError } from "./json-error.ts";

/** Deepest accepted nesting of arrays and objects (replication.md 4). */
export const MAX_JSON_DEPTH = 64;
/** Most keys of all objects of one text: each is stored and compared by its name. */
export const MAX_JSON_KEYS = 100_000;
/** Most values of one text, keys apart. */
export const MAX_JSON_VALUES = 1_000_000;

/**
 * Parses `text`. Throws Fault `invalid_input` that says what is wrong and where; `what` names the text in the message,
 * such as "the document". Depth, keys and values are judged before the parse, which is many times slower than the scan.
 */
export function parseJson(text: string, what: string, maxDepth = MAX_JSON_DEPTH): unknown {
  const found = scanJson(text, what, maxDepth);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Fault("invalid_input", `${what} is not JSON: ${describeJsonError(text)}`, {
      hint: "Send one JSON value as UTF-8 text.",
    });
  }
  if (found.loneSurrogateAt !== undefined) {
    const near = text.slice(found.loneSurrogateAt, found.loneSurrogateAt + 40);
    throw new Fault("invalid_input", `${what} holds a lone surrogate at ${near}`, {
      hint: "Send well-formed Unicode.",
    });
  }
  if (found.keys !== keysIn(value)) throw keyTwice(text, what);
  return value;
}

/** What a scan of a text found. Of a text that is no JSON the numbers mean nothing. */
interface Scanned {
  keys: number;
  /** Where the first escape of half a character is; undefined: nowhere. */
  loneSurrogateAt: number | undefined;
}

/**
 * Scans a text once, JSON or not. Throws Fault `invalid_input` beyond a bound, and for a text that is no well-formed
 * Unicode.
 */
function scanJson(text: string, what: string, maxDepth: number): Scanned {
  if (!text.isWellFormed())
    throw new Fault("invalid_input", `${what} holds a lone surrogate`, { hint: "Send well-formed Unicode." });
  const found: Scanned = { keys: 0, loneSurrogateAt: undefined };
  let depth = 0;
  let values = 1;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case OPEN_OBJECT:
      case OPEN_ARRAY:
        values++;
        if (++depth > maxDepth) throw tooDeep(what, maxDepth);
        break;
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        depth--;
        break;
      case COMMA:
        if (++values > MAX_JSON_VALUES) throw tooMany(what, MAX_JSON_VALUES, "values");
        break;
      case COLON:
        if (++found.keys > MAX_JSON_KEYS) throw tooMany(what, MAX_JSON_KEYS, "keys");
        break;
      case QUOTE:
        at = endOfString(text, at, found);
        break;
    }
  }
  return found;
}

/**
 * Returns the index of the closing quote of the string that opens at `start`, or an index behind the text. Notes in
 * `found` the first escape of half a character.
 */
export function endOfString(text: string, start: number, found?: Pick<Scanned, "loneSurrogateAt">): number {
  let at = start + 1;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at;
    if (code !== BACKSLASH) continue;
    at++;
    if (found === undefined || text.charCodeAt(at) !== LETTER_U) continue;
    const unit = Number.parseInt(text.slice(at + 1, at + 5), 16);
    const isPair = unit >= 0xd800 && unit <= 0xdbff && LOW_ESCAPE.test(text.slice(at + 5, at + 11));
    if (isPair) at += 6;
    else if (unit >= 0xd800 && unit <= 0xdfff) found.loneSurrogateAt ??= at - 1;
    at += 4;
  }
  return at;
}

const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const COMMA = 0x2c;
const COLON = 0x3a;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
const LOW_ESCAPE = /^\\u[dD][c-fC-F]/;

function tooDeep(what: string, maxDepth = MAX_JSON_DEPTH): Fault {
  return new Fault("invalid_input", `${what} is nested deeper than ${maxDepth} levels`);
}

function tooMany(what: string, limit: number, of: "keys" | "values"): Fault {
  return new Fault("invalid_input", `${what} has more than ${limit} JSON ${of}`, {
    hint: "Split it, or send it as text.",
    details: { limit },
  });
}

/** Returns how many keys the objects of a parsed value have. */
function keysIn(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + keysIn(item), 0);
  const items = Object.values(value);
  return items.reduce<number>((sum, item) => sum + keysIn(item), items.length);
}

/** Returns the refusal of valid JSON that has fewer keys parsed than written, with the first that is there twice. */
function keyTwice(text: string, what: string): Fault {
  const keysByLevel: Array<Set<string> | undefined> = [];
  let expectKey = false;
  let twice = "";
  for (let at = 0; at < text.length && twice === ""; at++) {
    switch (text.charCodeAt(at)) {
      case OPEN_OBJECT:
        keysByLevel.push(new Set());
        expectKey = true;
        break;
      case OPEN_ARRAY:
        keysByLevel.push(undefined);
        expectKey = false;
        break;
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        keysByLevel.pop();
        expectKey = false;
        break;
      case COMMA:
        expectKey = keysByLevel.at(-1) !== undefined;
        break;
      case QUOTE: {
        const end = endOfString(text, at);
        const keys = expectKey ? keysByLevel.at(-1) : undefined;
        if (keys !== undefined) {
          const key: string = JSON.parse(text.slice(at, end + 1));
          if (keys.has(key)) twice = JSON.stringify(key.slice(0, 80));
          keys.add(key);
        }
        expectKey = false;
        at = end;
        break;
      }
    }
  }
  return new Fault("invalid_input", `${what} has the key ${twice} twice in one object`, {
    hint: "Give each key once.",
  });
}

/**
 * Checks a value that came as a value (a tool argument). Throws like `parseJson` on depth, on a lone surrogate
 * anywhere, and on a number that no double holds, which would be written as null.
 */
export function checkJsonValue(value: unknown, what: string, depth = 0): void {
  if (typeof value === "number" && !Number.isFinite(value))
    throw new Fault("invalid_input", `${what} holds a number beyond 1.8e308, which a JSON value here cannot carry`, {
      hint: "Send it as JSON text: a string with content_type application/json keeps every digit.",
    });
  if (typeof value === "string") {
    if (!value.isWellFormed())
      throw new Fault("invalid_input", `${what} holds a lone surrogate`, { hint: "Send well-formed Unicode." });
    return;
  }
  if (typeof value !== "object" || value === null) return;
  if (depth >= MAX_JSON_DEPTH) throw tooDeep(what);
  for (const [key, item] of Object.entries(value)) {
    if (!Array.isArray(value)) checkJsonValue(key, what, depth + 1);
    checkJsonValue(item, what, depth + 1);
  }
}
