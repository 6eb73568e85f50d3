// Conditions: a field, one of the ten operators of tas-mcp, and a value. Patterns are automata (lib/linear-pattern.ts),
// so no pattern of a caller can make the node search for long.

import { z } from "zod";
import { Fault } from "../../../lib/fault.ts";
import { LinearPattern } from "../../../lib/linear-pattern.ts";
import { contains, isEqual, order, type Scalar } from "./compare.ts";
import { Effort } from "./effort.ts";
import { RuleFailure } from "./failure.ts";
import { type EventRecord, type Field, fieldOf, fieldValue, MAX_FIELD } from "./record.ts";

/** The operators. */
export const OPERATORS = ["eq", "ne", "gt", "lt", "gte", "lte", "contains", "regex", "in", "not_in"] as const;
export type Operator = (typeof OPERATORS)[number];

/** Most characters of a text in a rule, of a pattern, and items of a list. */
const MAX_TEXT = 1024;
const MAX_PATTERN = 256;
const MAX_ITEMS = 100;
/** Most characters of a text that a pattern is tried on, and units that this may take (about 5 ns each). */
export const MAX_TESTED = 65_536;
const PATTERN_UNITS = 2_000_000;
/** Units of effort (effort.ts) of one of these units, of comparing two values, and of searching four characters. */
const PATTERN_EFFORT = 5;
const COMPARE = 100;
/** Patterns of RE2 that ignore the case of letters begin so. */
const IGNORE_CASE = "(?i)";

const scalar = z.union([z.string().max(MAX_TEXT), z.number(), z.boolean(), z.null()]);

/** One condition. */
export const condition = z
  .strictObject({
    field: z.string().min(1).max(MAX_FIELD).describe("type, source, subject, id, time, data.a.b, or an extension"),
    operator: z.enum(OPERATORS),
    value: z.union([scalar, z.array(scalar).max(MAX_ITEMS)]).describe("in and not_in take a list"),
    negate: z.boolean().optional().describe("True where the condition is false"),
  })
  .superRefine(({ field, operator, value }, context) => {
    const refuse = (path: string, message: string): void => context.addIssue({ code: "custom", path: [path], message });
    const found = fieldOf(field);
    if (typeof found === "string") refuse("field", found);
    const problem = valueProblem(operator, value);
    if (problem !== undefined) refuse("value", problem);
  });

/** A condition as it is written. */
export type Condition = z.infer<typeof condition>;

/** Evaluates a condition. Throws `RuleFailure`. */
export type Test = (record: EventRecord, effort?: Effort) => boolean;

/** Returns the test of a condition that the schema took. */
export function compileCondition({ field: name, operator, value, negate = false }: Condition): Test {
  const field = fieldOf(name);
  if (typeof field === "string") throw new Fault("invalid_input", field);
  const test = testOf(operator, value, field);
  return (record, effort = new Effort()) => test(fieldValue(record, field), effort) !== negate;
}

function valueProblem(operator: Operator, value: Condition["value"]): string | undefined {
  if (operator === "in" || operator === "not_in") return Array.isArray(value) ? undefined : "takes a list here";
  if (Array.isArray(value)) return "takes a list only with in and not_in";
  if (operator === "regex") return typeof value === "string" ? patternProblem(value) : "takes a pattern here";
  if (operator === "contains") return value === "" ? "takes a text that is not empty here" : undefined;
  const hasOrder = typeof value === "number" || typeof value === "string";
  return operator === "eq" || operator === "ne" || hasOrder ? undefined : "takes a number or a text here";
}

function patternProblem(pattern: string): string | undefined {
  if (pattern.length > MAX_PATTERN) return `takes a pattern of at most ${MAX_PATTERN} characters`;
  try {
    compilePattern(pattern);
    return undefined;
  } catch (error) {
    if (error instanceof Fault) return error.message;
    throw error;
  }
}

function compilePattern(pattern: string): LinearPattern {
  const ignoreCase = pattern.startsWith(IGNORE_CASE);
  return new LinearPattern(ignoreCase ? pattern.slice(IGNORE_CASE.length) : pattern, { ignoreCase });
}

/** Tests the value of a field. */
type ValueTest = (actual: unknown, effort: Effort) => boolean;

function testOf(operator: Operator, value: Condition["value"], field: Field): ValueTest {
  const expected = value as Scalar;
  const among = value as Scalar[];
  const asTime = "attribute" in field && field.attribute === "time";
  const compares =
    (holds: (difference: number) => boolean): ValueTest =>
    (actual, effort) => {
      effort.spend(COMPARE);
      const difference = order(actual, expected, asTime);
      return difference !== undefined && holds(difference);
    };
  switch (operator) {
    case "eq":
      return isOneOf([expected]);
    case "ne":
      return negated(isOneOf([expected]));
    case "gt":
      return compares((difference) => difference > 0);
    case "lt":
      return compares((difference) => difference < 0);
    case "gte":
      return compares((difference) => difference >= 0);
    case "lte":
      return compares((difference) => difference <= 0);
    case "contains":
      return containing(expected);
    case "in":
      return isOneOf(among);
    case "not_in":
      return negated(isOneOf(among));
    case "regex":
      return matching(compilePattern(String(expected)));
  }
}

function isOneOf(among: readonly Scalar[]): ValueTest {
  return (actual, effort) => {
    effort.spend(COMPARE * among.length);
    return among.some((item) => isEqual(actual, item));
  };
}

function negated(test: ValueTest): ValueTest {
  return (actual, effort) => !test(actual, effort);
}

function containing(expected: Scalar): ValueTest {
  return (actual, effort) => {
    if (Array.isArray(actual)) effort.spend(COMPARE * actual.length);
    else if (typeof actual === "string") effort.spend(COMPARE + actual.length / 4);
    return contains(actual, expected);
  };
}

function matching(pattern: LinearPattern): ValueTest {
  return (actual, effort) => {
    if (typeof actual !== "string") return false;
    if (actual.length > MAX_TESTED) throw new RuleFailure(`a pattern is tried on at most ${MAX_TESTED} characters`);
    const budget = { units: Math.min(PATTERN_UNITS, effort.left / PATTERN_EFFORT) };
    const most = budget.units;
    const end = pattern.endOfMatch(actual, { start: 0, end: actual.length }, budget);
    effort.spend(PATTERN_EFFORT * (most - budget.units));
    if (typeof end !== "number") throw new RuleFailure("the pattern takes too long on this text");
    return end >= 0;
  };
}
