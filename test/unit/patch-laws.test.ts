// The laws of patches and diffs: RFC 7396's table, RFC 6902's rules, apply(diff(a, b), a) = b for JSON and text, and
// bounds on patches that explode.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { applyEdits, parseEdits } from "../../src/features/context/edits.ts";
import { Fault } from "../../src/lib/fault.ts";
import { findAll } from "../../src/lib/find-all.ts";
import { diffJson } from "../../src/lib/json-diff.ts";
import { applyJsonPatch, parseSteps } from "../../src/lib/json-patch.ts";
import { formatPointer, parsePointer } from "../../src/lib/json-pointer.ts";
import { cloneJson, jsonEqual, keepNumbers, parseExact } from "../../src/lib/json-value.ts";
import { applyMergePatch } from "../../src/lib/merge-patch.ts";
import { diffText } from "../../src/lib/text-diff.ts";
import { applyUnified } from "../kit/apply-unified.ts";
import { computedMs } from "../kit/in-time.ts";

const MIB = 1024 * 1024;
const merge = (target: string, patch: string) => JSON.stringify(applyMergePatch(JSON.parse(target), JSON.parse(patch)));
const patch = (document: unknown, steps: unknown, max = MIB) =>
  applyJsonPatch(cloneJson(document), parseSteps(steps), max);

/** Few keys, so that values share them, and names that are no plain keys to careless code. */
const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, 0, 1, -1.5, "", "a", "b"),
    fc.array(tie("value"), { maxLength: 5 }),
    fc
      .array(fc.tuple(fc.constantFrom("a", "b", "/", "~", "~1", "", "0", "__proto__", "constructor"), tie("value")), {
        maxLength: 4,
      })
      .map((entries) =>
        JSON.parse(`{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`)}}`),
      ),
  ),
})).value;

describe("merge patch", () => {
  test.each([
    ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
    ['{"a":"b"}', '{"a":null}', "{}"],
    ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
    ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
    ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
    ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
    ['["a","b"]', '["c","d"]', '["c","d"]'],
    ['{"a":"b"}', '["c"]', '["c"]'],
    ['{"a":"foo"}', "null", "null"],
    ['{"a":"foo"}', '"bar"', '"bar"'],
    ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
    ["[1,2]", '{"a":"b","c":null}', '{"a":"b"}'],
    ["{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
    ["{}", '{"__proto__":{"x":1}}', '{"__proto__":{"x":1}}'],
    [
      '{"__proto__":{"x":1,"y":2}}',
      '{"__proto__":{"x":null},"constructor":{"a":1}}',
      '{"__proto__":{"y":2},"constructor":{"a":1}}',
    ],
  ])("%s with %s is %s", (target, change, result) => {
    expect(merge(target, change)).toBe(result);
    expect(Object.prototype).not.toHaveProperty("x");
  });

  test("twice is once, and a patch without null or array reads back out of what it made", () => {
    fc.assert(
      fc.property(json, json, (target, change) => {
        const once = applyMergePatch(cloneJson(target), change);
        expect(jsonEqual(applyMergePatch(cloneJson(once), change), once)).toBe(true);
      }),
    );
  });
});

describe("JSON patch", () => {
  const rows: Array<[string, unknown, unknown, unknown]> = [
    ["add a member", { foo: "bar" }, [{ op: "add", path: "/baz", value: "qux" }], { foo: "bar", baz: "qux" }],
    [
      "add an item",
      { foo: ["bar", "baz"] },
      [{ op: "add", path: "/foo/1", value: "qux" }],
      { foo: ["bar", "qux", "baz"] },
    ],
    [
      "remove",
      { baz: "qux", foo: ["a", "b"] },
      [
        { op: "remove", path: "/baz" },
        { op: "remove", path: "/foo/0" },
      ],
      { foo: ["b"] },
    ],
    ["replace", { baz: 1 }, [{ op: "replace", path: "/baz", value: "boo" }], { baz: "boo" }],
    [
      "move",
      { foo: ["all", "grass", "cows", "eat"] },
      [{ op: "move", from: "/foo/1", path: "/foo/3" }],
      { foo: ["all", "cows", "eat", "grass"] },
    ],
    [
      "copy is a copy",
      { a: { b: 1 } },
      [
        { op: "copy", from: "/a", path: "/c" },
        { op: "replace", path: "/a/b", value: 2 },
      ],
      { a: { b: 2 }, c: { b: 1 } },
    ],
    [
      "test",
      { baz: { x: [1, 2], y: 1 } },
      [{ op: "test", path: "/baz", value: { y: 1, x: [1, 2] } }],
      { baz: { x: [1, 2], y: 1 } },
    ],
    ["unknown members are ignored", { a: 1 }, [{ op: "remove", path: "/a", xyz: 1 }], {}],
    ["the end of an array", [1], [{ op: "add", path: "/-", value: [2] }], [1, [2]]],
    [
      "escapes",
      { "/": 9, "~1": 10 },
      [
        { op: "test", path: "/~01", value: 10 },
        { op: "remove", path: "/~1" },
      ],
      { "~1": 10 },
    ],
    [
      "the root",
      { a: 1 },
      [
        { op: "replace", path: "", value: [] },
        { op: "add", path: "/0", value: 1 },
      ],
      [1],
    ],
    ["an empty key", {}, [{ op: "add", path: "/", value: 1 }], { "": 1 }],
    [
      "null is a value",
      {},
      [
        { op: "add", path: "/a", value: null },
        { op: "test", path: "/a", value: null },
      ],
      { a: null },
    ],
  ];
  test.each(rows)("%s", (_name, document, steps, result) => {
    expect(patch(document, steps)).toEqual(result);
  });

  test.each([
    [{ a: 1 }, { op: "test", path: "/a", value: "1" }, "patch_failed"],
    [{ a: 1 }, { op: "test", path: "/b", value: null }, "patch_failed"],
    [{ a: 1 }, { op: "remove", path: "/b" }, "patch_failed"],
    [{ a: 1 }, { op: "remove", path: "" }, "patch_failed"],
    [{ a: 1 }, { op: "replace", path: "/b", value: 1 }, "patch_failed"],
    [{ a: 1 }, { op: "add", path: "/b/c", value: 1 }, "patch_failed"],
    [{ a: 1 }, { op: "add", path: "/a/c", value: 1 }, "patch_failed"],
    [{ a: 1 }, { op: "remove", path: "/__proto__" }, "patch_failed"],
    [{ a: 1 }, { op: "add", path: "/__proto__/x", value: 1 }, "patch_failed"],
    [{ a: 1 }, { op: "test", path: "/constructor/name", value: "Object" }, "patch_failed"],
    [{ a: {} }, { op: "move", from: "/a", path: "/a/b" }, "patch_failed"],
    [[1], { op: "add", path: "/2", value: 1 }, "patch_failed"],
    [[1], { op: "replace", path: "/-", value: 1 }, "patch_failed"],
    [[1], { op: "remove", path: "/00" }, "patch_failed"],
    [[1], { op: "remove", path: "/-1" }, "patch_failed"],
    [[1], { op: "remove", path: "/length" }, "patch_failed"],
    [{}, { op: "add", path: "a", value: 1 }, "invalid_input"],
    [{}, { op: "add", path: "/~2", value: 1 }, "invalid_input"],
    [{}, { op: "add", path: "/a" }, "invalid_input"],
    [{}, { op: "move", path: "/a" }, "invalid_input"],
    [{}, { op: "spam", path: "/a" }, "invalid_input"],
    [{}, { path: "/a" }, "invalid_input"],
    [{}, null, "invalid_input"],
    [{}, { op: "add", path: "/a".repeat(65), value: 1 }, "invalid_input"],
  ])("%j refuses %j with %s", (document, step, code) => {
    expect(() => patch(document, [step])).toThrow(expect.objectContaining({ code }));
  });

  test("one that explodes is stopped by size, depth or work", () => {
    const doubling = Array.from({ length: 40 }, () => ({ op: "copy", from: "", path: "/-" }));
    expect(() => patch(["y".repeat(1000)], doubling)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/too_large|invalid_input/) }),
    );
    const wide = Array.from({ length: 100 }, (_, at) => ({ op: "copy", from: "/x", path: `/y${at}` }));
    expect(() => patch({ x: "y".repeat(100_000) }, wide)).toThrow(expect.objectContaining({ code: "too_large" }));
    const deep = Array.from({ length: 70 }, () => ({ op: "move", from: "/a", path: "/b" })).flatMap((step, at) => [
      { op: "add", path: "/b", value: {} },
      { op: "copy", from: "/a", path: "/b/c" },
      { ...step, from: "/b", path: "/a", at },
    ]);
    expect(() => patch({ a: {} }, deep)).toThrow(expect.objectContaining({ code: "invalid_input" }));
    const began = computedMs();
    const churn = Array.from({ length: 1000 }, (_, at) =>
      at % 2 === 0 ? { op: "copy", from: "/x", path: "/y" } : { op: "remove", path: "/y" },
    );
    expect(() => patch({ x: Array(200_000).fill(0) }, churn)).toThrow(expect.objectContaining({ code: "too_large" }));
    expect(computedMs() - began).toBeLessThan(2000);
    expect(() => parseSteps(Array(1001).fill({ op: "remove", path: "/a" }))).toThrow("1001 steps");
  });

  test("diff and patch are each other's inverse, and equal values have no difference", async () => {
    await fc.assert(
      fc.asyncProperty(json, json, async (from, to) => {
        const steps = JSON.parse(JSON.stringify(await diffJson(from, to)));
        expect(jsonEqual(patch(from, steps), to)).toBe(true);
        expect(await diffJson(from, cloneJson(from))).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test("of huge differences the whole is replaced", async () => {
    const many = Object.fromEntries(Array.from({ length: 5000 }, (_, at) => [`k${at}`, at]));
    expect(await diffJson({}, many)).toEqual([{ op: "replace", path: "", value: many }]);
    expect(await diffJson([], Array(5000).fill(1))).toHaveLength(1);
  });

  test("pointers are written as they are read", () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 6 }), (keys) =>
        expect(parsePointer(formatPointer(keys))).toEqual(keys),
      ),
    );
  });
});

describe("numbers", () => {
  test("keep digits that a double would lose", () => {
    const text = '{"big":12345678901234567890,"exact":0.1000000000000000055511151231257827,"exp":1e400,"n":1}';
    expect(JSON.stringify(parseExact(text))).toBe(text);
    expect(JSON.stringify(applyMergePatch(parseExact(text), { n: 2 }))).toBe(text.replace('"n":1', '"n":2'));
    expect(JSON.stringify(cloneJson(parseExact(text)))).toBe(text);
    expect(JSON.stringify(applyMergePatch({ big: { x: 1 } }, parseExact('{"big":12345678901234567890}')))).toBe(
      '{"big":12345678901234567890}',
    );
  });

  test("are equal by value", () => {
    const same = (one: string, other: string) => jsonEqual(parseExact(one), parseExact(other));
    expect(same("1e2", "100")).toBe(true);
    expect(same("10000000000000000000", "1e19")).toBe(true);
    expect(same("12345678901234567890", "12345678901234567891")).toBe(false);
    expect(same("12345678901234567890", "12345678901234567000")).toBe(false);
    expect(same("-0.0e10", "0")).toBe(true);
    expect(same("12345678901234567890", '"12345678901234567890"')).toBe(false);
    expect(same("0.00001200e25", "120000000000000000000")).toBe(true);
    expect(same("-1e400", "1e400")).toBe(false);
    expect(same(`0e${"9".repeat(40)}`, "0")).toBe(true);
    expect(same(`1e${"9".repeat(40)}`, `1e${"9".repeat(40)}`)).toBe(true);
    expect(same(`1e${"9".repeat(40)}`, `1e${"9".repeat(39)}8`)).toBe(false);
  });

  test("that a double holds stay numbers, however they are written; all others keep their text", () => {
    const text = '{"a":1.0,"b":1e2,"c":100000000000000000000,"d":0.5e0,"__proto__":12345678901234567891,"e":[1e400]}';
    const value = keepNumbers(text, JSON.parse(text)) as Record<string, unknown>;
    expect([value["a"], value["b"], value["c"], value["d"]]).toEqual([1, 100, 1e20, 0.5]);
    expect(JSON.stringify(value)).toBe(
      '{"a":1,"b":100,"c":100000000000000000000,"d":0.5,"__proto__":12345678901234567891,"e":[1e400]}',
    );
  });

  test("of a million digits are compared in time, however often a patch asks", () => {
    const zeros = "0".repeat(1_000_000);
    const nines = "9".repeat(1_000_000);
    const startMs = computedMs();
    for (const [one, other] of [
      [`1${zeros}1`, `2${zeros}1`],
      [`0.${zeros}1`, `0.${zeros}2`],
      [`1e${nines}`, `1e${nines}9`],
    ] as const) {
      const [document, value] = [parseExact(`{"n":[${one}]}`), parseExact(other)];
      expect(jsonEqual(document, { n: [value] })).toBe(false);
    }
    const step = { op: "test" as const, path: ["n"], value: 1 };
    const document = parseExact(`{"n":1.${zeros}}`);
    const steps = Array.from({ length: 1000 }, () => step);
    expect(JSON.stringify(applyJsonPatch(document, steps, 4_000_000))).toBe(`{"n":1.${zeros}}`);
    expect(computedMs() - startMs).toBeLessThan(5_000);
  }, 20_000);
});

describe("text", () => {
  const lines = fc
    .array(fc.constantFrom("a\n", "b\n", "c\r\n", "\n", "- x\n", "+ y\n", "@@ -1,1 +1,1 @@\n", "last"), {
      maxLength: 30,
    })
    .map((parts) => parts.join(""));

  test("a unified diff applied to the old text is the new one", async () => {
    await fc.assert(
      fc.asyncProperty(lines, lines, async (from, to) => {
        const { text, coarse } = await diffText(from, to);
        expect(applyUnified(from, text)).toBe(to);
        expect(coarse).toBe(false);
        expect((await diffText(from, from)).text).toBe("");
      }),
      { numRuns: 1000 },
    );
  });

  test("is minimal for a change in a long text, and reads like diff -u", async () => {
    const from = Array.from({ length: 100 }, (_, at) => `line ${at}\n`).join("");
    const to = from.replace("line 50\n", "line fifty\n").replace("line 98\n", "");
    expect((await diffText(from, to)).text).toBe(
      "@@ -48,7 +48,7 @@\n line 47\n line 48\n line 49\n-line 50\n+line fifty\n line 51\n line 52\n line 53\n" +
        "@@ -96,5 +96,4 @@\n line 95\n line 96\n line 97\n-line 98\n line 99\n",
    );
  });

  test("of texts that share nothing is bounded, right, and says that it is coarse", async () => {
    const random = (seed: number) => Array.from({ length: 60_000 }, (_, at) => `${(at * seed) % 99_991}\n`).join("");
    const began = computedMs();
    const { text, coarse } = await diffText(random(7919), random(104_729));
    expect(coarse).toBe(true);
    expect(applyUnified(random(7919), text)).toBe(random(104_729));
    expect(computedMs() - began).toBeLessThan(3000);
  });

  test("of the most lines that a document can hold is answered too", async () => {
    const { text, coarse } = await diffText("a\n".repeat(1_000_000), "b\n".repeat(1_000_000));
    expect(coarse).toBe(true);
    expect(text.startsWith("@@ -1,1000000 +1,1000000 @@\n-a\n")).toBe(true);
    expect(text).toHaveLength(28 + 6_000_000);
  });

  test("edits count what they replace", () => {
    const edit = (text: string, edits: unknown, max = 1000) => applyEdits(text, parseEdits(edits), max);
    expect(
      edit("b", [
        { op: "append", text: "c" },
        { op: "prepend", text: "a" },
      ]),
    ).toBe("abc");
    expect(edit("x $& x", { op: "replace", old_text: "$&", new_text: "$1$$" })).toBe("x $1$$ x");
    expect(edit("aaaa", { op: "replace", old_string: "aa", new_string: "b", expected_count: 2 })).toBe("bb");
    for (const [text, edits, code] of [
      ["a b a", { op: "replace", old_text: "a", new_text: "c" }, "patch_failed"],
      ["a", { op: "replace", old_text: "x", new_text: "c" }, "patch_failed"],
      ["a", { op: "replace", old_text: "", new_text: "c" }, "invalid_input"],
      ["a", { op: "replace", old_text: "a" }, "invalid_input"],
      ["a", { op: "replace", old_text: "a", old_string: "a", new_text: "c" }, "invalid_input"],
      ["a", { op: "append", text: "\ud800" }, "invalid_input"],
      ["a", { op: "remove", text: "a" }, "invalid_input"],
      ["a".repeat(100), { op: "replace", old_text: "a", new_text: "b".repeat(100), expected_count: 100 }, "too_large"],
    ] as const) {
      expect(() => edit(text, edits)).toThrow(expect.objectContaining({ code }) as unknown as Fault);
    }
  });

  test("places are found as split finds them, in linear time", () => {
    const letters = fc.array(fc.constantFrom("a", "b"), { maxLength: 300 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(letters, fc.array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 80 }), (text, parts) => {
        const needle = parts.join("");
        const places = findAll(text, needle);
        expect(places).toHaveLength(text.split(needle).length - 1);
        for (const place of places) expect(text.startsWith(needle, place)).toBe(true);
      }),
      { numRuns: 300 },
    );
    const began = computedMs();
    expect(findAll("ab".repeat(MIB / 2), `${"ab".repeat(100_000)}ba`)).toEqual([]);
    expect(computedMs() - began).toBeLessThan(1000);
  });
});

test("a refusal is a Fault with the step", () => {
  try {
    patch({ a: 1 }, [
      { op: "test", path: "/a", value: 1 },
      { op: "remove", path: "/b" },
    ]);
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(Fault);
    expect(error).toMatchObject({ code: "patch_failed", details: { step: 1 } });
  }
});
