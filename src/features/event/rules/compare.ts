// How the values of an event are compared with those of a rule. Numbers are numbers, also where one side has them as
// text: metadata of tas-mcp is text throughout. A field that is missing counts as null.

import { isJsonObject, numberText } from "../../../lib/json-value.ts";

/** A value of a rule. */
export type Scalar = string | number | boolean | null;

const DECIMAL = /^[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,3})?$/;

/** The doubles of kept numbers: one may have as many digits as an event has bytes, and many rules may compare it. */
const keptNumbers = new WeakMap<object, number>();

/** Reports whether a value of an event equals one of a rule. */
export function isEqual(actual: unknown, expected: Scalar): boolean {
  if (expected === null || actual === undefined || actual === null) return (actual ?? null) === expected;
  if (typeof expected === "boolean" || typeof actual === "boolean") return actual === expected;
  if (typeof actual === "string" && typeof expected === "string") return actual === expected;
  const one = numberOf(actual);
  return one !== undefined && one === numberOf(expected);
}

/**
 * Returns a number below, at or above 0 as `actual` is below, at or above `expected`; undefined where they have no
 * order. Two texts that are both numbers are compared as such, and as instants where `asTime`.
 */
export function order(actual: unknown, expected: Scalar, asTime: boolean): number | undefined {
  const [one, other] = asTime ? [instantOf(actual), instantOf(expected)] : [numberOf(actual), numberOf(expected)];
  if (one !== undefined && other !== undefined) return one - other;
  if (typeof actual !== "string" || typeof expected !== "string" || asTime) return undefined;
  return actual === expected ? 0 : actual < expected ? -1 : 1;
}

/** Reports whether a text has a part, or a list an item. */
export function contains(actual: unknown, expected: Scalar): boolean {
  if (Array.isArray(actual)) return actual.some((item) => isEqual(item, expected));
  return typeof actual === "string" && typeof expected === "string" && expected !== "" && actual.includes(expected);
}

/** Returns a value as a number where it is one, or is written as one. */
function numberOf(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value === "string") return DECIMAL.test(value) ? Number(value) : undefined;
  if (typeof value !== "object" || value === null || isJsonObject(value)) return undefined;
  const known = keptNumbers.get(value);
  if (known !== undefined) return known;
  const number = numberText(value) === undefined ? undefined : Number(JSON.stringify(value));
  if (number !== undefined) keptNumbers.set(value, number);
  return number;
}

/** Returns a time in ms: RFC 3339, or seconds since 1970. */
function instantOf(value: unknown): number | undefined {
  const seconds = numberOf(value);
  if (seconds !== undefined) return seconds * 1000;
  const ms = typeof value === "string" && value.length <= 40 ? Date.parse(value) : Number.NaN;
  return Number.isNaN(ms) ? undefined : ms;
}
