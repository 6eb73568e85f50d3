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

test("what is deeper than any argument is refused before the stack is", () => {
  let value: unknown = 1;
  for (let depth = 0; depth < 200_000; depth += 1) value = [value];
  expect(() => canonicalJson(value)).toThrow("too deep");
});
