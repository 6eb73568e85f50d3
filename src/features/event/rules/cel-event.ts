// An event as a value for CEL, and what an expression gave as JSON. Bounds are here because the library has none while
// it evaluates: an event beyond them is a failure of the expression.

import { isJsonObject, numberText, setOwn } from "../../../lib/json-value.ts";
import type { Effort } from "./effort.ts";
import { RuleFailure } from "./failure.ts";
import type { EventRecord } from "./record.ts";

/** Most items of a list or object, values in all, levels, and characters of the data of an event. */
export const MAX_LIST = 1000;
const MAX_VALUES = 10_000;
const MAX_LEVELS = 16;
const MAX_CHARACTERS = 262_144;
/** Most characters of an attribute: an expression may compare it with each item of a list. */
const MAX_ATTRIBUTE = 4096;
/** Units of effort of a value that an expression gives. */
const MADE_VALUE = 100;

interface Count {
  values: number;
  /** Of the longest list or object. */
  items: number;
  characters: number;
}

/** How much an expression sees: values and characters of the data, and characters of the longest attribute. */
export interface EventSize extends Count {
  attribute: number;
}

/** An event as a value for expressions. */
interface View {
  event: unknown;
  size: EventSize;
}

/** Values for expressions, by event: several expressions see the same one. */
const known = new WeakMap<EventRecord, { attributes?: View; whole?: View }>();

/** Returns the value of `event`; without its data unless an expression uses that. Throws `RuleFailure`. */
export function celEvent(record: EventRecord, withData: boolean): View {
  const views = known.get(record) ?? {};
  known.set(record, views);
  const name = withData ? "whole" : "attributes";
  views[name] ??= viewOf(record, withData);
  return views[name];
}

function viewOf({ data, ...rest }: EventRecord, withData: boolean): View {
  const size: EventSize = { values: 0, items: 0, characters: 0, attribute: 0 };
  const items: [string, unknown][] = [];
  for (const [name, value] of Object.entries(rest)) {
    if (value === undefined) continue;
    if (typeof value === "string") {
      if (value.length > MAX_ATTRIBUTE)
        throw new RuleFailure(`the attribute ${name} has more than ${MAX_ATTRIBUTE} characters`);
      size.attribute = Math.max(size.attribute, value.length);
    }
    items.push([name, value]);
  }
  if (withData && data !== undefined) items.push(["data", celValue(data, 0, size)]);
  return { event: mapOf(items, Object.hasOwn(rest, "constructor")), size };
}

/** The library tells a map by its constructor, which is a plain key of JSON: a Map has no such trouble. */
function mapOf(items: readonly (readonly [string, unknown])[], hasSuch: boolean): unknown {
  return hasSuch ? new Map(items) : Object.fromEntries(items);
}

function celValue(value: unknown, level: number, count: Count): unknown {
  count.values += 1;
  if (level > MAX_LEVELS) throw new RuleFailure(`the data has more than ${MAX_LEVELS} levels`);
  if (typeof value === "string") count.characters += value.length;
  if (count.values > MAX_VALUES) throw new RuleFailure(`the data has more than ${MAX_VALUES} values`);
  if (count.characters > MAX_CHARACTERS) throw new RuleFailure(`the data has more than ${MAX_CHARACTERS} characters`);
  if (Array.isArray(value)) {
    if (value.length > MAX_LIST) throw new RuleFailure(`a list has more than ${MAX_LIST} items`);
    count.items = Math.max(count.items, value.length);
    return value.map((item) => celValue(item, level + 1, count));
  }
  if (isJsonObject(value)) return celMap(value, level, count);
  // A number whose digits were kept.
  return typeof value === "object" && value !== null ? Number(JSON.stringify(value)) : value;
}

function celMap(value: Readonly<Record<string, unknown>>, level: number, count: Count): unknown {
  const entries = Object.entries(value);
  if (entries.length > MAX_LIST) throw new RuleFailure(`an object has more than ${MAX_LIST} keys`);
  count.items = Math.max(count.items, entries.length);
  for (const [key] of entries) count.characters += key.length;
  const items = entries.map(([key, item]) => [key, celValue(item, level + 1, count)] as const);
  return mapOf(items, Object.hasOwn(value, "constructor") || Object.hasOwn(value, "__proto__"));
}

/** Returns what an expression gave as JSON of at most `maxCharacters`. Throws `RuleFailure`. */
export function jsonOfCel(value: unknown, maxCharacters: number, effort: Effort): unknown {
  return jsonOf(value, 0, { left: maxCharacters, effort });
}

interface Budget {
  left: number;
  effort: Effort;
}

function jsonOf(value: unknown, level: number, budget: Budget): unknown {
  budget.effort.spend(MADE_VALUE);
  // Lengths are known before a text is put together, so that nothing larger is made.
  budget.left -= typeof value === "string" ? value.length + 2 : 4;
  if (budget.left < 0) throw new RuleFailure("the expression gives more than an event may hold");
  if (level > 2 * MAX_LEVELS) throw new RuleFailure("the expression gives too many levels");
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "bigint") return integerOf(value);
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new RuleFailure(`the expression gives ${value}, which JSON does not have`);
    return value;
  }
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map((item) => jsonOf(item, level + 1, budget));
  if (typeof value === "object" && (value instanceof Map || value.constructor === Object))
    return objectOf(value instanceof Map ? [...value] : Object.entries(value), level, budget);
  throw new RuleFailure("the expression gives a value that JSON does not have");
}

function objectOf(entries: readonly (readonly [unknown, unknown])[], level: number, budget: Budget): unknown {
  const made: Record<string, unknown> = {};
  for (const [key, item] of entries) {
    const name = String(key);
    budget.left -= name.length + 3;
    setOwn(made, name, jsonOf(item, level + 1, budget));
  }
  return made;
}

/** Integers of CEL have 64 bits; what a double does not hold stays as its digits. */
function integerOf(value: bigint): number | string {
  const number = Number(value);
  return BigInt(number) === value && numberText(number) !== undefined && Number.isSafeInteger(number)
    ? number
    : String(value);
}
