// The bounds of JSON by callers (security.md 22): judged by a scan, before the parse that they keep cheap; and numbers
// that keep their digits without a reviver.

import { describe, expect, spyOn, test } from "bun:test";
import fc from "fast-check";
import { MAX_JSON_DEPTH, MAX_JSON_KEYS, MAX_JSON_VALUES, parseJson } from "../../src/lib/json-text.ts";
import { keepNumbers, numberText, parseExact } from "../../src/lib/json-value.ts";
import { decodeInput } from "../../src/operation/forward-frame.ts";

/** Parses and returns the message of the refusal; "" if there was none. `parses` counts calls of JSON.parse. */
function refusalOf(text: string): { message: string; parses: number } {
  const parse = spyOn(JSON, "parse");
  try {
    parseJson(text, "it");
    return { message: "", parses: parse.mock.calls.length };
  } catch (error) {
    return { message: String((error as Error).message), parses: parse.mock.calls.length };
  } finally {
    parse.mockRestore();
  }
}

const keys = (count: number) => `{${Array.from({ length: count }, (_, at) => `"${at.toString(36)}":1`).join(",")}}`;
const items = (count: number) => `[${"1,".repeat(count - 1)}1]`;
const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;

describe("judged before the parse", () => {
  test.each([
    ["keys of one object", keys(MAX_JSON_KEYS + 1), `it has more than ${MAX_JSON_KEYS} JSON keys`],
    ["keys of a body of 8 MB", keys(900_000), `it has more than ${MAX_JSON_KEYS} JSON keys`],
    ["keys of many objects", `[${'{"a":1},'.repeat(MAX_JSON_KEYS)}{"a":1}]`, "JSON keys"],
    ["values", items(MAX_JSON_VALUES + 1), `it has more than ${MAX_JSON_VALUES} JSON values`],
    ["numbers with exponents", `[${"1e5,".repeat(MAX_JSON_VALUES)}1]`, "JSON values"],
    ["empty lists", `[${"[],".repeat(MAX_JSON_VALUES)}1]`, "JSON values"],
    ["depth", nested(MAX_JSON_DEPTH + 1), `it is nested deeper than ${MAX_JSON_DEPTH} levels`],
    ["eight million brackets without an end", "[".repeat(8_000_000), "nested deeper"],
    ["eight million braces, each with a key", '{"":'.repeat(2_000_000), "nested deeper"],
  ])("%s", (_name, text, message) => {
    const found = refusalOf(text);
    expect(found.message).toContain(message);
    expect(found.parses).toBe(0);
  });

  test("what is within the bounds, and what only looks like more", () => {
    expect(Object.keys(parseJson(keys(MAX_JSON_KEYS), "it") as object)).toHaveLength(MAX_JSON_KEYS);
    expect(parseJson(items(MAX_JSON_VALUES - 1), "it")).toHaveLength(MAX_JSON_VALUES - 1);
    expect(parseJson(nested(MAX_JSON_DEPTH), "it")).toBeArray();
    const strings = [":".repeat(MAX_JSON_KEYS + 1), "[{,".repeat(MAX_JSON_VALUES), '\\"[:', "\\\\"];
    expect(parseJson(JSON.stringify(strings), "it")).toEqual(strings);
  });
});

test("the input of a frame of another node is judged before it is parsed, too", () => {
  const frame = (input: string) => ({ operation: "context_put", input, caller: "nX", readOnly: false });
  for (const input of ["[".repeat(6_000_000), keys(MAX_JSON_KEYS + 1), "{"]) {
    const parse = spyOn(JSON, "parse");
    expect(() => decodeInput(frame(input))).toThrow(expect.objectContaining({ code: "invalid_input" }));
    expect(parse).toHaveBeenCalledTimes(input === "{" ? 1 : 0);
    parse.mockRestore();
  }
  const deep = `{"content":${nested(MAX_JSON_DEPTH)}}`;
  expect(JSON.stringify(decodeInput(frame(deep)))).toBe(deep);
});

test("keys that are there twice are found however they are written", () => {
  for (const text of [
    '{"a":1,"a":2}',
    '{"a":1,"\\u0061":2}',
    '[{"__proto__":1,"__proto__":2}]',
    '{"x":{"é":1,"\\u00e9":2}}',
  ])
    expect(refusalOf(text).message).toContain("twice in one object");
  for (const text of [
    '{"a":{"a":1},"b":{"a":1}}',
    '[{"a":1},{"a":1}]',
    '{"a:":1,"a":"a"}',
    '{"__proto__":{"__proto__":1}}',
  ])
    expect(refusalOf(text).message).toBe("");
});

test("escapes of half a character are refused as JSON.parse would make them", () => {
  const part = fc.constantFrom(
    "\\ud83d",
    "\\ude00",
    "\\uD83D",
    "\\uDE00",
    "\\u0041",
    "\\\\",
    "u",
    "d83d",
    "😀",
    '\\"',
    "\\n",
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
      const text = `["${parts.join("")}"]`;
      const isWell = (JSON.parse(text) as string[])[0]?.isWellFormed() === true;
      const { message } = refusalOf(text);
      expect([text, message === ""]).toEqual([text, isWell]);
      if (!isWell) expect(message).toContain("lone surrogate");
    }),
    { numRuns: 2000 },
  );
});

describe("numbers keep their digits", () => {
  const reviving = JSON as unknown as {
    parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): unknown;
    rawJSON(text: string): unknown;
  };
  const number = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
    fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }).map(String),
    fc.constantFrom(
      "1e5",
      "1E400",
      "-1e-400",
      "0e9",
      "-0",
      "-0.0",
      "0.10",
      "1.00e2",
      "5e-324",
      "1.5e-310",
      "9007199254740993",
    ),
    fc.tuple(fc.nat(999_999_999), fc.integer({ min: -330, max: 330 })).map(([digits, power]) => `${digits}e${power}`),
  );
  const text = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 4 },
      number,
      fc.json({ maxDepth: 0 }),
      fc.string().map((value) => JSON.stringify(value)),
      fc.array(tie("any") as fc.Arbitrary<string>, { maxLength: 4 }).map((list) => `[ ${list.join(" ,\n")} ]`),
      fc
        .array(fc.tuple(fc.oneof(fc.string(), fc.constant("constructor")), tie("any") as fc.Arbitrary<string>), {
          maxLength: 4,
        })
        .map((list) => `{${list.map(([key, value]) => `${JSON.stringify(key)}\t: ${value}`).join(",")}}`),
    ),
  })).any as fc.Arbitrary<string>;

  test("parseExact is JSON.parse with a reviver", () => {
    // Numbers as short as all others in their text are those of JSON.parse: only -0 and 0.10 are written otherwise.
    const slow = (given: string) =>
      !/[0-9.]{16}|[0-9][eE]/.test(given)
        ? JSON.parse(given)
        : reviving.parse(given, (_key, value, { source }) =>
            typeof value === "number" && source !== undefined && String(value) !== source
              ? reviving.rawJSON(source)
              : value,
          );
    fc.assert(
      fc.property(text, (given) => {
        expect(JSON.stringify(parseExact(given))).toBe(JSON.stringify(slow(given)));
      }),
      { numRuns: 2000 },
    );
  });

  // With a reviver Bun's JSON.parse drops or follows such a key.
  test("__proto__ is a plain key", () => {
    for (const given of ['{"__proto__":1e5}', '{"a":{"__proto__":{"b":1e5}}}', '[{"__proto__":[-0e1]}]'])
      expect(JSON.stringify(parseExact(given))).toBe(given);
  });

  test("keepNumbers changes no value", () => {
    fc.assert(
      fc.property(number, (given) => {
        const kept = keepNumbers(`[${given}]`, [Number(given)]) as unknown[];
        expect(numberText(kept[0])).toBe(numberText(parseExact(given)) ?? "");
      }),
      { numRuns: 3000 },
    );
  });
});
