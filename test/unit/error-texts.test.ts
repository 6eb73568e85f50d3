// The words of refusals: where a text stops being JSON, which value a schema refused, conditions that are no ETags.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseCondition } from "../../src/lib/etag.ts";
import { Fault } from "../../src/lib/fault.ts";
import { describeJsonError } from "../../src/lib/json-error.ts";
import { callerWith, startCore } from "../kit/core.ts";

async function faultOf(run: () => unknown): Promise<Fault> {
  try {
    await run();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

test.each([
  ["", "line 1, column 1: expected a value, the text ends"],
  ["{", "line 1, column 2: expected a key in double quotes or }, the text ends"],
  ['{"a":\n foo}', 'line 2, column 2: expected a value, found "foo}"'],
  ['{"a" 1}', 'line 1, column 6: expected :, found "1}"'],
  ['{"a":1,}', 'line 1, column 8: expected a key in double quotes, found "}"'],
  ["[1 2]", 'line 1, column 4: expected , or ], found "2]"'],
  ["[1,]", 'line 1, column 4: expected a value, found "]"'],
  ["{'a':1}", "line 1, column 2: expected a key in double quotes or }, found \"'a':1}\""],
  ["01", 'line 1, column 2: expected the end, found "1"'],
  ['["a\tb"]', "line 1, column 4: expected an escape such as \\n for a control character"],
  ['["\\x"]', "line 1, column 3: expected an escape"],
  ['{"a": "b}', "line 1, column 7: expected a string that ends with a double quote"],
  ["[1]\n\n[2]", 'line 3, column 1: expected the end, found "[2]"'],
])("%j is refused at its place", (text, said) => {
  expect(() => JSON.parse(text)).toThrow();
  expect(describeJsonError(text)).toStartWith(said);
});

test("what is cut or changed at one place is refused at that place or behind it, never at the end of good JSON", () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 4 }), fc.nat(), fc.constantFrom("", "x", "}", ",", '"'), (good, seed, put) => {
      const at = seed % (good.length + 1);
      const text = `${good.slice(0, at)}${put}${good.slice(at + 1)}`;
      let isJson = true;
      try {
        JSON.parse(text);
      } catch {
        isJson = false;
      }
      const [, line = "", column = ""] = /^line (\d+), column (\d+): expected /.exec(describeJsonError(text)) ?? [];
      const where =
        Number(column) -
        1 +
        text
          .split("\n")
          .slice(0, Number(line) - 1)
          .join("\n").length;
      // A good text ends where the scan ends: it and JSON.parse agree.
      const isWhole = text.slice(where).trim() === "" && describeJsonError(text).includes("expected the end, the text");
      expect(isWhole).toBe(isJson);
    }),
    { numRuns: 3000 },
  );
});

test("an argument that a schema refuses is shown with its value and an example", async () => {
  await using core = startCore();
  const small = await faultOf(() => core.call("context_list", { limit: 0 }));
  expect(small.message).toStartWith("context_list: limit: Too small");
  expect(small.message).toEndWith("; it is 0");
  const long = await faultOf(() => core.call("context_get", { id: `a/${"x".repeat(300)}` }));
  expect(long.message).toContain("… (304 characters)");
  expect(long.hint).toStartWith('For example: {"id":"');
  const missing = await faultOf(() => core.call("context_get", {}, callerWith({ own: true })));
  expect(missing.message).toBe("context_get: id is missing");
});

test("a condition that is no ETag is shown, with the form of one", async () => {
  for (const text of ["abc", '"abc', "7-1f3a"]) {
    const { message, hint } = await faultOf(() => parseCondition(text, "if_match"));
    expect(message).toBe(`if_match holds ${text}, which is no list of ETags`);
    expect(hint).toContain("such as 7-1f3a9c0b22de (a number, a hyphen and 12 hexadecimal digits), with or without");
  }
});

test("a condition that a method does not take is named with its value, and with those that it takes", async () => {
  await using core = startCore();
  const patch = await core.http("/contexts/a/b", {
    method: "PATCH",
    headers: { "content-type": "application/merge-patch+json", "if-none-match": "*" },
    body: "{}",
  });
  expect(await patch.json()).toMatchObject({
    status: 400,
    detail: "PATCH takes no header if-none-match: * here",
    hint: "Leave it out, or send If-Match with the ETag of your last read.",
  });
});

test("a large text is looked at only so far, and what is behind is said to be behind", () => {
  const near = `[1,\n${" ".repeat(300_000)}`;
  expect(describeJsonError(`x${near}`)).toStartWith('line 1, column 1: expected a value, found "x[1,');
  expect(describeJsonError(`${near}x`)).toBe("the problem is after line 2, column 262141");
  // A string or a word that the cut breaks is no problem by itself.
  expect(describeJsonError(`["${"a".repeat(300_000)}`)).toBe("the problem is after line 1, column 262145");
  expect(describeJsonError(`[${" ".repeat(256 * 1024 - 3)}true,x`)).toBe("the problem is after line 1, column 262145");
});
