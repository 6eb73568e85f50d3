// Patterns in linear time, and context_grep.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { LinearPattern } from "../../src/lib/linear-pattern.ts";
import { Automaton } from "../../src/lib/pattern-automaton.ts";
import { parsePattern } from "../../src/lib/pattern-syntax.ts";
import { callerWith, startCore } from "../kit/core.ts";
import { computedMs } from "../kit/in-time.ts";
import { faultOf } from "../kit/refusal.ts";

const plenty = () => ({ units: 1e9 });
const ends = (pattern: string, text: string, options = {}) =>
  new LinearPattern(pattern, options).endOfMatch(text, { start: 0, end: text.length }, plenty());

/** Patterns of what both engines know, over few characters, so that they match often. */
const anyNestedPattern: fc.Arbitrary<string> = fc.letrec<{ node: string }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom("a", "b", "é", ".", "[ab]", "[^a]", "[b-d]", "\\w", "\\D", "\\s", "^", "$", "\\.", "x"),
    fc.tuple(tie("node"), tie("node")).map(([a, b]) => a + b),
    fc.tuple(tie("node"), tie("node")).map(([a, b]) => `(${a}|${b})`),
    fc.tuple(tie("node"), fc.constantFrom("*", "+", "?", "{2}", "{1,3}", "{0,}", "*?")).map(([a, c]) => `(?:${a})${c}`),
  ),
})).node;
/** RegExp tries too often, gives up and reports no match where four quantifiers are one in the other. */
const isTooNested = (pattern: string) => /(\)[*+?{][^()]*){4}/.test(pattern);
const anyPattern = anyNestedPattern.filter((pattern) => !isTooNested(pattern));
const anyLine = fc.string({ unit: fc.constantFrom("a", "b", "c", "x", ".", " ", "é", "1"), maxLength: 12 });

describe("patterns", () => {
  test("match the lines that RegExp matches, at the end of the shortest first match", () => {
    fc.assert(
      fc.property(anyPattern, anyLine, fc.boolean(), (pattern, line, ignoreCase) => {
        const flags = ignoreCase ? "i" : "";
        const shortest = Array.from({ length: line.length + 1 }, (_, at) => at).find((at) =>
          new RegExp(`(?:${pattern})(?<=^.{${at}})`, flags).test(line),
        );
        const own = ends(pattern, line, { ignoreCase });
        expect([pattern, line, own]).toEqual([pattern, line, shortest ?? -1]);
      }),
      { numRuns: 1000 },
    );
  });

  test("an empty line is at its start and at its end", () => {
    expect(["(a|($^|a))", "^$", "$^", "a*$", "a"].map((pattern) => ends(pattern, ""))).toEqual([0, 0, 0, 0, -1]);
    expect(ends("$^", "a")).toBe(-1);
  });

  test("as literal every sign is itself, in any case if asked", () => {
    expect(ends("a.b*", "xa.b*y", { literal: true })).toBe(5);
    expect(ends("a.b", "xaxb", { literal: true })).toBe(-1);
    expect(ends("GRÖSSE", "die Größse", { literal: true, ignoreCase: true })).toBe(-1);
    expect(ends("ÖL", "das öl", { literal: true, ignoreCase: true })).toBe(6);
    expect(ends("🚀", "a 🚀 b")).toBe(4);
  });

  test.each([
    ["(a", "without its )"],
    ["a)", "without its ("],
    ["[a", "without its ]"],
    ["*a", "after nothing"],
    ["(?=a)", "linear time"],
    ["(a)\\1", "\\1"],
    ["\\bword", "\\b"],
    ["a{300}", "at most 200"],
    ["[b-a]", "a range"],
    ["((a{200}){200}){200}", "places"],
    [`${"(".repeat(100)}a${")".repeat(100)}`, "levels"],
  ])("%s is refused: %s", (pattern, what) => expect(() => ends(pattern, "a")).toThrow(what));

  // Without a bound of their own these would build for hours.
  test.each(["a{0}{200}{200}{200}{200}{200}{200}", "((((((){200}){200}){200}){200}){200}){200}b?"])(
    "what repeats nothing is nothing: %s",
    (pattern) => expect(ends(pattern, "xyz")).toBe(0),
  );

  test("a refusal says how the text itself is searched, over MCP and in a shell", () => {
    const { hint } = faultOf(() => ends("(", "a"));
    expect(hint).toEndWith("; literal (--literal in a shell) takes all signs as they are.");
  });

  test("a set is as large as what it tells apart, however it is written, and is not repeated with its places", () => {
    const blocks = Array.from({ length: 15 }, (_, at) => at * 0x300);
    const hex = (unit: number) => `\\u${unit.toString(16).padStart(4, "0")}`;
    const set = `[${blocks.map((first) => `${hex(first)}-${hex(first + 0x2ff)}`).join("")}]`;
    const automaton = new Automaton(parsePattern(`(${set}{100}){20}`, { ignoreCase: true }));
    const sets = [...automaton.sets];
    expect([automaton.size, sets.length]).toEqual([2001, 1]);
    expect(sets[0]?.ranges.length).toBeLessThan(100);
    expect(sets[0]?.ranges[0]?.[1]).toBeGreaterThanOrEqual(15 * 0x300 - 1);
  });

  test("in any case also what a long range holds", () => {
    const letters = ["A", "a", "Ω", "ω", "ж", "Ж", "\u2c00", "Ⰰ"];
    const found = (pattern: string) => letters.filter((letter) => ends(pattern, letter, { ignoreCase: true }) === 1);
    expect(found("[Α-\u2c00]")).toEqual(letters.filter((letter) => /[Α-\u2c00]/i.test(letter)));
    expect(found("[^Α-\u2c00]")).toEqual(letters.filter((letter) => /[^Α-\u2c00]/i.test(letter)));
  });

  test("hostile patterns take time in proportion to the text, and stop at their budget", () => {
    const line = `${"a".repeat(200_000)}!`;
    for (const pattern of ["(a+)+$", "(a|a)*b", "(a*)*b", "(.*a){20}b", "(x+x+)+y", "a{100}{2}b"]) {
      const budget = { units: 5_000_000 };
      const startMs = computedMs();
      expect([pattern, new LinearPattern(pattern).endOfMatch(line, { start: 0, end: line.length }, budget)]).toEqual([
        pattern,
        -1,
      ]);
      expect(computedMs() - startMs).toBeLessThan(2000);
    }
    // A state for each of the last characters: more than the budget allows.
    let seed = 1;
    const next = () => {
      seed = (seed * 48271) % 2147483647;
      return seed % 2 === 0 ? "a" : "b";
    };
    const random = Array.from({ length: 100_000 }, next).join("");
    const spent = new LinearPattern("a[ab]{60}c").endOfMatch(
      random,
      { start: 0, end: random.length },
      { units: 200_000 },
    );
    expect(spent).toBeUndefined();
  });
});

describe("context_grep", () => {
  test("finds lines with their place, in one document and below a prefix", async () => {
    await using core = startCore();
    await core.call("context_put", { id: "s/a", content: "one\r\nTwo words\r\nthree" });
    await core.call("context_put", { id: "s/b", content: { two: [1, 2] } });
    await core.call("context_put", { id: "t/c", content: "two" });
    await core.call("context_put", { id: "s/gone", content: "two" });
    await core.call("context_delete", { id: "s/gone" });
    const found = await core.call("context_grep", { pattern: "two", prefix: "s/", ignore_case: true });
    expect(found).toEqual({
      matches: [
        { id: "s/a", version: 1, line: 2, chars: "6-14", text: "Two words" },
        { id: "s/b", version: 1, line: 1, chars: "1-13", text: '{"two":[1,2]}' },
      ],
      searched: 2,
    });
    const { matches } = found as { matches: { id: string; chars: string; text: string }[] };
    for (const { id, chars, text } of matches)
      expect(await core.call("context_get", { id, chars })).toMatchObject({ content: text });
    expect(await core.call("context_grep", { pattern: "^three$", id: "s/a" })).toMatchObject({
      matches: [{ line: 3 }],
    });
    expect(await core.call("context_grep", { pattern: "words$", id: "s/a" })).toMatchObject({ matches: [{ line: 2 }] });
    await expect(core.call("context_grep", { pattern: "x", id: "s/none" })).rejects.toMatchObject({
      code: "not_found",
    });
    await expect(core.call("context_grep", { pattern: "x", id: "s/gone" })).rejects.toMatchObject({ code: "deleted" });
    await expect(core.call("context_grep", { pattern: "x", cursor: "x" })).rejects.toThrow("not a cursor");
  });

  test("goes on with its cursor, and finds each line once", async () => {
    await using core = startCore();
    for (const id of ["s/a", "s/b", "s/c"])
      await core.call("context_put", { id, content: Array.from({ length: 40 }, (_, at) => `${id} ${at}`).join("\n") });
    const found: string[] = [];
    let calls = 0;
    for (let cursor: string | undefined = ""; cursor !== undefined; calls++) {
      const answer = await core.call("context_grep", {
        pattern: "[05]$",
        limit: 7,
        ...(cursor === "" ? {} : { cursor }),
      });
      found.push(...(answer["matches"] as { text: string }[]).map(({ text }) => text));
      cursor = answer["cursor"] as string | undefined;
    }
    const all = ["s/a", "s/b", "s/c"].flatMap((id) => [0, 5, 10, 15, 20, 25, 30, 35].map((at) => `${id} ${at}`));
    expect([found, calls]).toEqual([all, 4]);
  });

  test("a long line is shown around its match", async () => {
    await using core = startCore();
    await core.call("context_put", { id: "s/a", content: `${"x".repeat(5000)}needle${"🚀".repeat(2000)}` });
    const { matches } = (await core.call("context_grep", { pattern: "needle" })) as { matches: { text: string }[] };
    expect(matches[0]?.text).toContain("needle");
    expect(matches[0]?.text.length).toBeLessThanOrEqual(301);
    expect(matches[0]?.text.isWellFormed()).toBe(true);
  });

  test("searches only what its caller may read", async () => {
    await using core = startCore();
    await core.call("context_put", { id: "s/a", content: "canary" });
    await core.call("context_put", { id: "t/a", content: "canary" });
    const caller = callerWith({ id: "nS", grants: [{ role: "reader", spaces: ["s"] }] });
    expect(await core.call("context_grep", { pattern: "canary" }, caller)).toMatchObject({ matches: [{ id: "s/a" }] });
    for (const input of [{ id: "t/a" }, { prefix: "t/" }])
      await expect(core.call("context_grep", { pattern: "canary", ...input }, caller)).rejects.toMatchObject({
        code: "forbidden",
      });
  });
});
