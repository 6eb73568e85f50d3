// Expressions in CEL over events: what they give, what is refused when they are saved, and that hostile ones stay
// short.

import { expect, test } from "bun:test";
import { CelExpression, mapExpression, matchExpression } from "../../src/features/event/rules/cel.ts";
import type { EventRecord } from "../../src/features/event/rules/record.ts";
import { parseExact } from "../../src/lib/json-value.ts";

const record: EventRecord = {
  id: "e-1",
  source: "//build/ci",
  type: "build.failed",
  time: "2026-11-29T12:00:00Z",
  region: "eu",
  data: parseExact(
    '{"n": 12, "big": 9007199254740993, "title": "A \\"quoted\\" one", "items": [{"a": "x", "k": 1}, {"a": "y", "k": 2}], "c": {"constructor": 1, "z": 2}}',
  ),
};

function refusal(text: string, schema = matchExpression): string {
  return schema.safeParse(text).error?.issues[0]?.message ?? "taken";
}

test.each<[string, boolean]>([
  ['event.type == "build.failed"', true],
  ['event.type.startsWith("build.") && event.data.n >= 12', true],
  ["event.data.n + 1.0 > 12.5", true],
  ["int(event.data.n) % 5 == 2", true],
  ["has(event.data.missing)", false],
  ["has(event.data.missing) && event.data.missing == 1", false],
  ['event.data.items.exists(i, i.a == "y")', true],
  ["event.data.items.all(i, i.k < 2)", false],
  ["event.data.items.exists_one(i, i.a == event.region)", false],
  ['"items" in event.data', true],
  ["size(event.data.items) == 2", true],
  ['timestamp(event.time) > timestamp("2026-01-01T00:00:00Z")', true],
  ["event.data.c.z == 2", true],
  ["event.data.c.constructor == 1", true],
  ['event.data.title.contains("quoted")', true],
  ['event["type"] == "build.failed"', true],
])("%s is %p", (text, expected) => {
  expect(refusal(text)).toBe("taken");
  expect(new CelExpression(text, "match").test(record)).toBe(expected);
});

test.each<[string, string]>([
  ["event.data.missing == 1", "No such key: missing"],
  ["event.data.n + 1 > 9", "numbers of JSON are doubles"],
  ["event.data.n", "neither true nor false"],
  ["event.data.items[5].a == 'x'", "index out of bounds"],
])("%s fails, and says so", (text, words) => {
  expect(() => new CelExpression(text, "match").test(record)).toThrow(words);
});

test.each<[string, string]>([
  ["event.type.matches('^(a+)+$')", "use a condition with the operator regex"],
  ["event.type == ", "cannot be read"],
  ["type == 'x'", "all of an event is under event"],
  ["event.data.items", "taken"],
  ["'text'", "gives string"],
  ["event.data.a.all(x, event.data.b.all(y, x == y))", "all within another macro"],
  ["event.data.a.all(x, x.b.all(y, y == 1))", "all within another macro"],
  ["event.data.a.filter(x, x > 1.0).all(y, y > 1.0)", "over what is no field"],
  ["[1, 2, 3].all(x, x > 1)", "over what is no field"],
  ["event.data.a.all(x, event == x)", "all of event for each item"],
  ["event.data.a.all(x, size(event.data.s) > 1)", "event.data for each item"],
  ["event.data.a.contains(event.data.b)", "searches with contains"],
  ["event.data.a.indexOf(event.data.b) > 1", "searches with indexOf"],
  ["cel.bind(x, event.data.s + event.data.s, x == x)", "bind()"],
  ["event.data.s.split('') == []", "split()"],
  ["bytes(event.data.s) == b'a'", "bytes()"],
  ["event.time.getHours('Europe/Berlin') == 1", "time zone"],
  [Array(60).fill("event.data.n > 1.0").join(" && "), "more than 200 parts"],
  [Array(5).fill("event.data.a.all(x, x > 1.0)").join(" && "), "more than 4 macros"],
  [`${"(".repeat(40)}true${")".repeat(40)}`, "cannot be read"],
  [`event.type == "${"x".repeat(2000)}"`, "2000"],
])("%s: %s", (text, words) => {
  expect(refusal(text)).toContain(words);
});

test("a map gives JSON", () => {
  const map = (text: string): unknown => {
    expect(refusal(text, mapExpression)).toBe("taken");
    return new CelExpression(text, "map").map(record, 10_000);
  };
  expect(map('{"text": event.type + ": " + event.data.title, "n": size(event.data.items)}')).toEqual({
    text: 'build.failed: A "quoted" one',
    n: 2,
  });
  expect(map("event.data.items.map(i, i.k)")).toEqual([1, 2]);
  expect(map("9223372036854775807")).toBe("9223372036854775807");
  expect(map("timestamp(event.time)")).toBe("2026-11-29T12:00:00.000Z");
  expect(map("event.data.c")).toEqual(JSON.parse('{"constructor": 1, "z": 2}'));
  expect(() => map("double('NaN')")).toThrow("JSON does not have");
  expect(() => map("event.data.items.map(i, event.time + event.time + event.time)")).not.toThrow();
});

test("an extension with the name of a key of objects hides no other attribute", () => {
  const named = { ...record, constructor: "x", tostring: "y" };
  expect(new CelExpression('event.type == "build.failed" && event.data.n == 12.0', "match").test(named)).toBe(true);
  expect(new CelExpression('event.constructor == "x"', "match").test(named)).toBe(true);
});

test("what an expression makes is bounded before it is put together", () => {
  const text = "x".repeat(200);
  const data = { items: Array.from({ length: 1000 }, () => text) };
  const repeat = new CelExpression(`event.data.items.map(i, ${Array(20).fill("i").join(" + ")})`, "map");
  expect(() => repeat.map({ ...record, data }, 1_000_000)).toThrow("more than an event may hold");
});

test.each<[string, unknown, string]>([
  ["a list of 1,001 items", { a: Array(1001).fill(1) }, "1000 items"],
  ["an object of 1,001 keys", Object.fromEntries(Array.from({ length: 1001 }, (_, at) => [`k${at}`, 1])), "1000 keys"],
  ["many values", Array(20).fill(Array(600).fill(1)), "10000 values"],
  ["long texts", { s: "x".repeat(300_000) }, "262144 characters"],
  ["many levels", JSON.parse(`${"[".repeat(20)}${"]".repeat(20)}`), "16 levels"],
])("%s is a failure of what uses data, and of nothing else", (_, data, words) => {
  const event = { ...record, data };
  expect(() => new CelExpression("has(event.data.x)", "match").test(event)).toThrow(words);
  expect(new CelExpression('event.type == "build.failed"', "match").test(event)).toBe(true);
});

test("the longest expressions over the largest events are short", () => {
  const list = Array.from({ length: 1000 }, (_, at) => ({ a: at, b: "x".repeat(200), c: [1, 2, 3] }));
  const data = { list, other: structuredClone(list), s: "ab".repeat(10_000) };
  for (const text of [
    Array(24).fill("event.data.list == event.data.other").join(" && "),
    Array(4)
      .fill(`event.data.list.all(i, ${Array(9).fill("i.b != event.type").join(" && ")})`)
      .join(" && "),
    Array(30).fill("size(event.data.s) > 0").join(" && "),
    Array(30)
      .fill(`event.data.s.contains("${"ab".repeat(10)}ba")`)
      .join(" || "),
  ]) {
    expect(refusal(text)).toBe("taken");
    const expression = new CelExpression(text, "match");
    const start = performance.now();
    try {
      expression.test({ ...record, data });
    } catch {
      // The bound is what counts.
    }
    expect(performance.now() - start).toBeLessThan(1500);
  }
});

test("events of ever other types leave nothing behind", () => {
  const expression = new CelExpression("event.data == event.data", "match");
  const nested = (seed: number): unknown => {
    let value: unknown = seed;
    for (let level = 0; level < 14; level++) value = (seed >> level) % 2 === 0 ? [value] : { a: value };
    return value;
  };
  for (let seed = 0; seed < 3000; seed++) expression.test({ ...record, data: nested(seed) });
  Bun.gc(true);
  const before = process.memoryUsage().rss;
  for (let seed = 3000; seed < 12_000; seed++) expression.test({ ...record, data: nested(seed) });
  Bun.gc(true);
  expect((process.memoryUsage().rss - before) / 1e6).toBeLessThan(150);
});
