// Parses untrusted JSON text and refuses what parsers disagree on (security.md 22): duplicate keys, lone surrogates,
// deep nesting. `__proto__` and `constructor` are plain keys here, as JSON.parse makes them.

import { Fault } from "./fault.ts";
import { describeJsonError } from "./json-error.ts";

/** Deepest accepted nesting of arrays and objects (replication.md 4). */
export const MAX_JSON_DEPTH = 64;

/**
 * Parses `text`. Throws Fault `invalid_input` that says what is wrong and where; `what` names the text in the message,
 * such as "the document".
 */
export function parseJson(text: string, what: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Fault("invalid_input", `${what} is not JSON: ${describeJsonError(text)}`, {
      hint: "Send one JSON value as UTF-8 text.",
    });
  }
  refuseAmbiguity(text, what);
  return value;
}

/** Scans valid JSON text once. Throws on the first duplicate key, lone surrogate or level below `MAX_JSON_DEPTH`. */
function refuseAmbiguity(text: string, what: string): void {
  if (!text.isWellFormed())
    throw new Fault("invalid_input", `${what} holds a lone surrogate`, { hint: "Send well-formed Unicode." });
  const keysByLevel: Array<Set<string> | undefined> = [];
  let expectKey = false;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x7b: // {
        keysByLevel.push(new Set());
        expectKey = true;
        refuseDepth(keysByLevel.length, what);
        break;
      case 0x5b: // [
        keysByLevel.push(undefined);
        expectKey = false;
        refuseDepth(keysByLevel.length, what);
        break;
      case 0x7d: // }
      case 0x5d: // ]
        keysByLevel.pop();
        expectKey = false;
        break;
      case 0x2c: // ,
        expectKey = keysByLevel.at(-1) !== undefined;
        break;
      case 0x22: {
        const end = endOfString(text, at);
        const escaped = text.slice(at, end + 1).includes("\\");
        if (escaped || expectKey)
          checkString(text.slice(at, end + 1), expectKey ? keysByLevel.at(-1) : undefined, escaped, what);
        expectKey = false;
        at = end;
        break;
      }
    }
  }
}

function refuseDepth(depth: number, what: string): void {
  if (depth > MAX_JSON_DEPTH)
    throw new Fault("invalid_input", `${what} is nested deeper than ${MAX_JSON_DEPTH} levels`);
}

/** Returns the index of the closing quote of the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end;
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text.charCodeAt(at - 1 - backslashes) === 0x5c) backslashes++;
  return backslashes % 2 === 1;
}

function checkString(literal: string, keys: Set<string> | undefined, escaped: boolean, what: string): void {
  const value: string = escaped ? JSON.parse(literal) : literal.slice(1, -1);
  if (escaped && !value.isWellFormed()) {
    throw new Fault("invalid_input", `${what} holds a lone surrogate in ${literal.slice(0, 40)}`, {
      hint: "Send well-formed Unicode.",
    });
  }
  if (keys === undefined) return;
  if (keys.has(value)) {
    throw new Fault("invalid_input", `${what} has the key ${JSON.stringify(value.slice(0, 80))} twice in one object`, {
      hint: "Give each key once.",
    });
  }
  keys.add(value);
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
  refuseDepth(depth + 1, what);
  for (const [key, item] of Object.entries(value)) {
    if (!Array.isArray(value)) checkJsonValue(key, what, depth + 1);
    checkJsonValue(item, what, depth + 1);
  }
}
