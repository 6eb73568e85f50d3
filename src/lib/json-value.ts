// JSON values as they are patched and compared: parsed without losing digits, with `__proto__` as a plain key, weighed
// and cloned. A number that a double would change keeps its text (`JSON.rawJSON`), so that a patch elsewhere in the
// document leaves it as it was.

import { Fault } from "./fault.ts";
import { parseNumbers } from "./json-numbers.ts";
import { MAX_JSON_DEPTH } from "./json-text.ts";

/** A JSON object as it was parsed. */
export type JsonObject = Record<string, unknown>;

interface RawNumber {
  readonly rawJSON: string;
}

/** ES2026. TypeScript's library does not have them yet. */
const exact = JSON as unknown as {
  rawJSON(text: string): RawNumber;
  isRawJSON(value: unknown): value is RawNumber;
};

/** Numbers with so many digits, or with an exponent, may be changed by a double. */
const LONG_NUMBER = /[0-9.]{16}|[0-9][eE]/;

/** Parses valid JSON text. Numbers keep their exact text where a double would change it. */
export function parseExact(text: string): unknown {
  if (!LONG_NUMBER.test(text)) return JSON.parse(text);
  return parseNumbers(text, (source) => {
    const value = Number(source);
    return String(value) === source ? value : exact.rawJSON(source);
  });
}

/**
 * Returns `value`, which is JSON.parse of `text`, with the exact text of each number that no double holds, so that what
 * is stored is what was sent. All other numbers stay numbers.
 */
export function keepNumbers(text: string, value: unknown): unknown {
  if (!LONG_NUMBER.test(text)) return value;
  return parseNumbers(text, (source) => {
    const item = Number(source);
    if (isPlainlyHeld(source, item)) return item;
    const text = String(item);
    if (text === source) return item;
    // Whole numbers without an exponent are equal only as texts.
    if (isPlainlyWhole(source)) return exact.rawJSON(source);
    return canonical(text) === canonical(source) ? item : exact.rawJSON(source);
  });
}

/** A double holds up to 15 digits of a number of this size; the text has no more digits than characters. */
function isPlainlyHeld(source: string, value: number): boolean {
  return source.length <= 15 && Math.abs(value) > 1e-290 && Math.abs(value) < 1e290;
}

/** Reports whether a number is written as digits alone, so many that it is not 0 and a double of it has no exponent. */
function isPlainlyWhole(source: string): boolean {
  if (source.length < 16 || source.length > 20) return false;
  for (let at = source.startsWith("-") ? 1 : 0; at < source.length; at++) {
    const code = source.charCodeAt(at);
    if (code < 0x30 || code > 0x39) return false;
  }
  return true;
}

/** Reports whether a value is an object: no array, null or kept number. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !exact.isRawJSON(value);
}

/** Sets an own key; `__proto__` is a key like any other. */
export function setOwn(target: JsonObject, key: string, value: unknown): void {
  if (key === "__proto__") {
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  } else target[key] = value;
}

/**
 * Reports whether two values are the same JSON: numbers by value, objects whatever the order of their keys (RFC 6902
 * 4.6).
 */
export function jsonEqual(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (exact.isRawJSON(one) || exact.isRawJSON(other))
    return numberText(one) !== undefined && numberText(one) === numberText(other);
  if (Array.isArray(one)) {
    return Array.isArray(other) && one.length === other.length && one.every((item, at) => jsonEqual(item, other[at]));
  }
  if (!isJsonObject(one) || !isJsonObject(other)) return false;
  const keys = Object.keys(one);
  return (
    keys.length === Object.keys(other).length &&
    keys.every((key) => Object.hasOwn(other, key) && jsonEqual(one[key], other[key]))
  );
}

/**
 * Canonical texts of kept numbers. One may have as many digits as the document has bytes, and a patch may compare it in
 * every step.
 */
const canonicalTexts = new WeakMap<RawNumber, string>();

/**
 * Returns a number, kept or a double, as a text that equal numbers share; undefined for what is no number. It compares
 * a kept number with a double, which could not hold it.
 */
export function numberText(value: unknown): string | undefined {
  if (!exact.isRawJSON(value)) return typeof value === "number" ? canonical(String(value)) : undefined;
  const known = canonicalTexts.get(value);
  if (known !== undefined) return known;
  const made = canonical(value.rawJSON);
  canonicalTexts.set(value, made);
  return made;
}

/** Exponents with more digits are compared as they are written: no real number needs them. */
const MAX_EXPONENT_DIGITS = 15;

/**
 * Returns the digits without the sign of zero, outer zeros or point, and a decimal exponent: equal texts for equal
 * numbers. Linear, since there may be millions of digits.
 */
function canonical(text: string): string {
  const match = /^(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/.exec(text);
  if (match === null) return text;
  const fraction = match[3] ?? "";
  const digits = `${match[2]}${fraction}`;
  let start = 0;
  while (digits.charCodeAt(start) === ZERO) start++;
  if (start === digits.length) return "0";
  let end = digits.length;
  while (digits.charCodeAt(end - 1) === ZERO) end--;
  const written = match[4] ?? "0";
  if (written.length > MAX_EXPONENT_DIGITS) return text;
  const exponent = Number(written) - fraction.length + (digits.length - end);
  return `${match[1]}${digits.slice(start, end)}e${exponent}`;
}

const ZERO = 0x30;

/** Returns a copy that shares nothing with `value`. */
export function cloneJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(cloneJson);
  if (!isJsonObject(value)) return value;
  const copy: JsonObject = {};
  for (const [key, item] of Object.entries(value)) setOwn(copy, key, cloneJson(item));
  return copy;
}

/**
 * Returns the least number of characters that the value has as JSON text: cheap to compute, and never more than its
 * bytes. `depth` is how deep the value will be; throws Fault `invalid_input` where nesting passes MAX_JSON_DEPTH. Adds
 * to `count` the values and keys that it visits.
 */
export function weighJson(value: unknown, depth = 0, count?: { values: number; keys: number }): number {
  if (count !== undefined) count.values++;
  if (typeof value === "string") return value.length + 2;
  if (typeof value === "number") return String(value).length;
  if (typeof value !== "object" || value === null) return 4;
  if (exact.isRawJSON(value)) return value.rawJSON.length;
  if (depth >= MAX_JSON_DEPTH)
    throw new Fault("invalid_input", `The document would be nested deeper than ${MAX_JSON_DEPTH} levels`, {
      hint: "Keep the document flatter.",
    });
  if (Array.isArray(value)) {
    return value.reduce<number>((sum, item) => sum + weighJson(item, depth + 1, count) + 1, 2);
  }
  let weight = 2;
  for (const [key, item] of Object.entries(value)) {
    if (count !== undefined) count.keys++;
    weight += key.length + 4 + weighJson(item, depth + 1, count);
  }
  return weight;
}
