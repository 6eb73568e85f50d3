// Arguments as clients really send them: `null` or `""` for none, and lists, objects, numbers and booleans as text.
// Changed only where the schema refuses the value and it can mean but one thing; all else stays and is refused.

import { z } from "zod";
import { Fault } from "../lib/fault.ts";
import { isObject, memberOf } from "../lib/json-object.ts";
import { parseJson } from "../lib/json-text.ts";
import { keepNumbers } from "../lib/json-value.ts";

/** Passes over a value: a text may hold a list whose items need one too. */
export const MAX_PASSES = 4;

type Issue = z.core.$ZodIssue;

/** What a lenient parse came to. `given` is the input with the values that were taken for others replaced. */
export type Lenient<S extends z.ZodType> =
  | { given: unknown; data: z.output<S> }
  | { given: unknown; issues: readonly Issue[] };

/** Parses `raw`, which is not changed, in at most so many passes; in one pass nothing is taken for something else. */
export function parseLeniently<S extends z.ZodType>(schema: S, raw: unknown, passes: number): Lenient<S> {
  let given = raw;
  for (let pass = 1; ; pass++) {
    const parsed = schema.safeParse(given);
    if (parsed.success) return { given, data: parsed.data };
    const { issues } = parsed.error;
    const better = pass < passes ? repaired(schema, given, issues) : given;
    if (better === given) return { given, issues };
    given = better;
  }
}

function repaired(schema: z.ZodType, given: unknown, issues: readonly Issue[]): unknown {
  return issues.reduce((value, issue) => {
    const { path } = issue;
    const found = path.reduce<unknown>(memberOf, value);
    if (path.length === 0 || found === undefined) return value;
    if ((found === null || found === "") && isOptional(schema, path)) return withMember(value, path, undefined);
    const meant = meantBy(issue, found);
    return meant === undefined ? value : withMember(value, path, meant);
  }, given);
}

/** Returns what a value of the wrong type means; undefined where that is not certain. */
function meantBy(issue: Issue, found: unknown): unknown {
  if (issue.code !== "invalid_type") return undefined;
  switch (issue.expected) {
    case "number":
    case "int":
      return typeof found === "string" ? numberIn(found) : undefined;
    case "boolean":
      return found === "true" ? true : found === "false" ? false : undefined;
    case "array":
      return listIn(found);
    case "object":
      return objectIn(found);
    default:
      return undefined;
  }
}

function numberIn(text: string): number | undefined {
  return /^-?\d{1,15}(\.\d{1,6})?$/.test(text.trim()) ? Number(text) : undefined;
}

function listIn(found: unknown): unknown[] | undefined {
  const value = typeof found === "string" ? jsonIn(found) : undefined;
  return Array.isArray(value) ? value : undefined;
}

/** Returns the object in a JSON text, undefined for every other value. */
export function objectIn(found: unknown): Record<string, unknown> | undefined {
  const value = typeof found === "string" ? jsonIn(found) : undefined;
  return isObject(value) ? value : undefined;
}

function jsonIn(text: string): unknown {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return keepNumbers(text, parseJson(text, "The text"));
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
}

/** Reports whether the member at `path` may be left out. */
function isOptional(schema: z.ZodType, path: readonly PropertyKey[]): boolean {
  const member = path.reduce<z.ZodType | undefined>(schemaAt, schema);
  return member?.safeParse(undefined).success === true;
}

function schemaAt(schema: z.ZodType | undefined, name: PropertyKey): z.ZodType | undefined {
  const plain = schema && unwrapped(schema);
  if (plain instanceof z.ZodObject) return typeof name === "string" ? plain.shape[name] : undefined;
  return plain instanceof z.ZodArray ? (plain.element as z.ZodType) : undefined;
}

function unwrapped(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodDefault
    ? unwrapped(schema.unwrap() as z.ZodType)
    : schema;
}

/** Returns a copy in which the member at `path` has another value; undefined: without it. */
function withMember(value: unknown, [name = "", ...rest]: readonly PropertyKey[], member: unknown): unknown {
  const next = rest.length === 0 ? member : withMember(memberOf(value, name), rest, member);
  if (Array.isArray(value)) return value.map((item: unknown, at) => (at === name ? next : item));
  const others = Object.entries(value as object).filter(([key]) => key !== name);
  const entries = next === undefined ? others : [...others, [name, next] as const];
  return Object.fromEntries(entries);
}
