// One text for each JSON value, so that the same call hashes the same on every node that it passes.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { canonicalJson } from "../../src/lib/canonical-json.ts";
import { jsonEqual, keepNumbers, parseExact } from "../../src/lib/json-value.ts";

test("keys in any order, members without a value, and spellings of a number make no difference", () => {
  const one = canonicalJson({ b: [1, { d: null, c: "\u00e9" }], a: undefined, z: true });
  expect(one).toBe(canonicalJson({ z: true, b: [1, { c: "é", d: null }] }));
  expect(canonicalJson(parseExact("[1e2,1.50,-0]"))).toBe(canonicalJson([100, 1.5, 0]));
  expect(canonicalJson({ a: "1" })).not.toBe(canonicalJson({ a: 1 }));
  expect(canonicalJson([["a"], "b"])).not.toBe(canonicalJson(["a", ["b"]]));
  expect(canonicalJson({ a: null })).not.toBe(canonicalJson({}));
});

test("digits that no double holds count", () => {
  const long = "12345678901234567890";
  expect(canonicalJson(parseExact(long))).toBe(canonicalJson(parseExact(`${long}.0`)));
  expect(canonicalJson(parseExact(long))).not.toBe(canonicalJson(parseExact("12345678901234567891")));
});

test("equal values, and only those, have one text, also after a way through a frame", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
      expect(canonicalJson(one) === canonicalJson(other)).toBe(jsonEqual(one, other));
      const text = JSON.stringify(one);
      expect(canonicalJson(keepNumbers(text, JSON.parse(text)))).toBe(canonicalJson(one));
    }),
  );
});

test("a whole number is kept as it was written, and is a number where a double holds it", () => {
  const digits = fc.bigInt({ min: -(10n ** 24n), max: 10n ** 24n });
  const round = fc.tuple(fc.integer({ min: -(2 ** 20), max: 2 ** 20 }), fc.integer({ min: 0, max: 18 }));
  fc.assert(
    fc.property(
      fc.oneof(
        digits,
        round.map(([value, zeros]) => BigInt(value) * 10n ** BigInt(zeros)),
      ),
      (value) => {
        const [kept] = keepNumbers(`[${value}]`, [Number(value)]) as unknown[];
        expect(typeof kept).toBe(shortestOf(Number(value)) === value ? "number" : "object");
        if (typeof kept === "object") expect(JSON.stringify(kept)).toBe(String(value));
        else expect(kept).toBe(Number(value));
      },
    ),
    { numRuns: 2_000, examples: [[10n ** 20n], [10n ** 21n], [2n ** 53n + 1n], [-(2n ** 60n)], [0n]] },
  );
  expect(Object.is((keepNumbers("[-0, 1234567890123456]", [0, 0]) as unknown[])[0], -0)).toBe(true);
});

/** Returns the whole number that JavaScript writes for a double. */
function shortestOf(double: number): bigint {
  const [, sign, first, rest = "", exponent] = /^(-?)(\d)(?:\.(\d+))?e\+(\d+)$/.exec(String(double)) ?? [];
  if (exponent === undefined) return BigInt(String(double));
  return BigInt(`${sign}${first}${rest.padEnd(Number(exponent), "0")}`);
}

test("what is deeper than any argument is refused before the stack is", () => {
  let value: unknown = 1;
  for (let depth = 0; depth < 200_000; depth += 1) value = [value];
  expect(() => canonicalJson(value)).toThrow("too deep");
});
