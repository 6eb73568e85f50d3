// Conditions of event rules: each operator by table, against a plain model, and patterns that must not take long.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Condition, compileCondition, condition } from "../../src/features/event/rules/condition.ts";
import type { EventRecord } from "../../src/features/event/rules/record.ts";
import { parseExact } from "../../src/lib/json-value.ts";

const record: EventRecord = {
  id: "e-1",
  source: "//build/ci",
  type: "build.failed",
  time: "2026-11-29T12:00:00Z",
  subject: "main",
  severity: "7",
  region: "eu",
  data: parseExact(
    '{"n": 12, "text": "12", "big": 9007199254740993, "ok": true, "none": null, "tags": ["a", "b", 3], "a": {"b": {"c": "deep"}}, "list": [{"name": "first"}], "__proto__": "own"}',
  ),
};

function holds(field: string, operator: Condition["operator"], value: unknown, negate?: boolean): boolean {
  const read = condition.parse({ field, operator, value, ...(negate === undefined ? {} : { negate }) });
  return compileCondition(read)(record);
}

test.each<[string, Condition["operator"], unknown, boolean]>([
  ["type", "eq", "build.failed", true],
  ["event_type", "eq", "build.failed", true],
  ["id", "eq", "e-1", true],
  ["event_id", "eq", "e-1", true],
  ["source", "eq", "//build/ci", true],
  ["subject", "eq", "other", false],
  ["timestamp", "eq", 1_795_953_600, true],
  ["timestamp", "eq", 5, false],
  ["time", "gt", "2026-11-29T11:59:59+00:00", true],
  ["time", "lt", "2026-11-29T14:00:00+01:00", true],
  ["time", "gte", 1_795_953_600, true],
  ["data.n", "eq", 12, true],
  ["data.n", "eq", "12", true],
  ["data.n", "eq", "12.0", true],
  ["data.text", "eq", 12, true],
  ["data.text", "eq", "12.0", false],
  ["data.text", "gt", "9", true],
  ["data.text", "gt", 9, true],
  ["data.big", "gt", 9_007_199_254_740_000, true],
  ["data.ok", "eq", true, true],
  ["data.ok", "eq", "true", false],
  ["data.ok", "eq", 1, false],
  ["data.none", "eq", null, true],
  ["data.missing", "eq", null, true],
  ["data.missing", "eq", "", false],
  ["data.missing", "ne", "x", true],
  ["data.missing", "gt", 0, false],
  ["data.missing", "lte", 0, false],
  ["data.missing", "not_in", ["x"], true],
  ["data.n", "ne", 12, false],
  ["data.n", "gt", 12, false],
  ["data.n", "gte", 12, true],
  ["data.n", "lt", 12.5, true],
  ["data.n", "lte", 11, false],
  ["type", "gt", "build.a", true],
  ["type", "lt", 5, false],
  ["metadata.severity", "gte", 7, true],
  ["metadata.Region", "eq", "eu", true],
  ["region", "eq", "eu", true],
  ["type", "contains", "fail", true],
  ["type", "contains", "FAIL", false],
  ["data.tags", "contains", "b", true],
  ["data.tags", "contains", 3, true],
  ["data.tags", "contains", "c", false],
  ["data.n", "contains", "1", false],
  ["type", "in", ["a", "build.failed"], true],
  ["data.n", "in", ["12", 5], true],
  ["data.n", "in", [], false],
  ["type", "not_in", ["build.failed"], false],
  ["type", "not_in", [], true],
  ["type", "regex", "^build\\.(failed|broken)$", true],
  ["type", "regex", "(?i)BUILD", true],
  ["type", "regex", "^failed", false],
  ["data.n", "regex", "1", false],
  ["data.a.b.c", "eq", "deep", true],
  ["data.list.0.name", "eq", "first", true],
  ["data.list.1.name", "eq", "first", false],
  ["data.list.length", "gt", 0, false],
  ["data.__proto__", "eq", "own", true],
  ["data.constructor", "eq", null, true],
])("%s %s %p is %p", (field, operator, value, expected) => {
  expect(holds(field, operator, value)).toBe(expected);
  expect(holds(field, operator, value, true)).toBe(!expected);
});

test.each<[Record<string, unknown>, string, string]>([
  [{ field: "data..a", operator: "eq", value: 1 }, "field", "empty step"],
  [{ field: "Type!", operator: "eq", value: 1 }, "field", "no field"],
  [{ field: "type", operator: "like", value: "x" }, "operator", "eq"],
  [{ field: "type", operator: "in", value: "x" }, "value", "takes a list"],
  [{ field: "type", operator: "eq", value: ["x"] }, "value", "only with in and not_in"],
  [{ field: "type", operator: "gt", value: true }, "value", "number or a text"],
  [{ field: "type", operator: "contains", value: "" }, "value", "not empty"],
  [{ field: "type", operator: "regex", value: "(a" }, "value", "a ( without its )"],
  [{ field: "type", operator: "regex", value: "(a)\\1" }, "value", "\\1"],
  [{ field: "type", operator: "regex", value: "a(?=b)" }, "value", "linear time"],
  [{ field: "type", operator: "regex", value: "a".repeat(300) }, "value", "256 characters"],
  [{ field: "type", operator: "eq", value: 1, more: 1 }, "", "more"],
])("%p is refused", (written, place, words) => {
  const issue = condition.safeParse(written).error?.issues[0];
  expect(issue?.path.join(".")).toBe(place);
  expect(issue?.message).toContain(words);
});

test("a pattern that backtracks takes no longer than others", () => {
  const evil = compileCondition(condition.parse({ field: "data.text", operator: "regex", value: "^(a+)+$" }));
  const text = `${"a".repeat(60_000)}!`;
  const start = performance.now();
  expect(evil({ ...record, data: { text } })).toBe(false);
  expect(performance.now() - start).toBeLessThan(1000);
  expect(() => evil({ ...record, data: { text: "a".repeat(70_000) } })).toThrow("65536 characters");
});

test("numbers are compared as numbers, whatever they are written as", () => {
  const number = fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }));
  fc.assert(
    fc.property(number, number, fc.boolean(), fc.boolean(), (actual, expected, textHere, textThere) => {
      const data = { n: textHere ? String(actual) : actual };
      const value = textThere && !textHere ? String(expected) : expected;
      for (const [operator, model] of [
        ["eq", actual === expected],
        ["ne", actual !== expected],
        ["gt", actual > expected],
        ["lt", actual < expected],
        ["gte", actual >= expected],
        ["lte", actual <= expected],
        ["in", actual === expected],
        ["not_in", actual !== expected],
      ] as const) {
        const list = operator === "in" || operator === "not_in" ? [value] : value;
        const evaluate = compileCondition(condition.parse({ field: "data.n", operator, value: list }));
        expect(evaluate({ ...record, data })).toBe(model);
      }
    }),
  );
});
