// Reading a document in parts: ranges, the first part of a long one, outlines, over every way that a read takes.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { headingsOf, keysOf } from "../../src/features/context/outline.ts";
import { partOf, totalLines } from "../../src/features/context/text-part.ts";
import { Fault } from "../../src/lib/fault.ts";
import { startCore } from "../kit/core.ts";

const anyText = fc
  .array(fc.oneof(fc.constantFrom("\n", "a", "b\r\n", "é", "👩‍🚀", "x".repeat(30)), fc.string({ unit: "grapheme" })), {
    maxLength: 40,
  })
  .map((parts) => parts.join(""));

/** Reads a text part after part, as a caller does. */
function inParts(text: string, maxChars: number): string[] {
  const parts: string[] = [];
  let chars: string | undefined;
  do {
    const read = partOf(text, { chars, maxChars });
    parts.push(read.text);
    chars = read.part?.next;
  } while (chars !== undefined && parts.length <= text.length);
  return parts;
}

describe("parts", () => {
  test("put together they are the text, and none is over the limit or cuts a character", () => {
    fc.assert(
      fc.property(anyText, fc.integer({ min: 2, max: 50 }), (text, maxChars) => {
        const parts = inParts(text, maxChars);
        expect(parts.join("")).toBe(text);
        for (const part of parts) {
          expect(part.length).toBeLessThanOrEqual(maxChars);
          expect(part.isWellFormed()).toBe(true);
        }
      }),
    );
  });

  test("a range of lines is those lines, and says where they are", () => {
    fc.assert(
      fc.property(anyText, fc.nat(40), fc.nat(40), (text, first, more) => {
        const all = text.match(/[^\n]*\n|[^\n]+$/g) ?? [""];
        const from = (first % all.length) + 1;
        const to = Math.min(all.length, from + more);
        const { text: found, part } = partOf(text, { lines: `${from}-${from + more}` });
        expect(found).toBe(all.slice(from - 1, to).join(""));
        expect(totalLines(text)).toBe(text === "" ? 0 : all.length);
        expect(part).toMatchObject({
          lines: `${from}-${to}`,
          chars: `${all.slice(0, from - 1).join("").length + 1}-${all.slice(0, to).join("").length}`,
          total_chars: text.length,
        });
      }),
    );
  });

  test("a cut is at the end of a line where there is one", () => {
    const { text, part } = partOf("aaaa\nbbbb\ncccc\ndddd\n", { maxChars: 12 });
    expect([text, part]).toEqual([
      "aaaa\nbbbb\n",
      { lines: "1-2", chars: "1-10", total_lines: 4, total_chars: 20, next: "11-20" },
    ]);
    expect(partOf("short", { maxChars: 5 })).toEqual({ text: "short", part: undefined });
  });

  test.each([
    [{ lines: "9-" }, "3 lines"],
    [{ chars: "7" }, "6 characters"],
    [{ lines: "3-2" }, "ends before it begins"],
    [{ lines: "1", chars: "1" }, "together"],
  ])("%j is refused", (request, what) => {
    expect(() => partOf("a\nb\nc\n", request)).toThrow(what);
  });
});

describe("outlines", () => {
  test("headings of a text, with their sections", () => {
    const text = "---\na: 1\n---\n# One\ntext\n## Two ##\n```\n# no heading\n```\n#tag\n# Three\r\nend";
    const { entries } = headingsOf(text);
    expect(entries.map(({ name, level }) => [name, level])).toEqual([
      ["One", 1],
      ["Two", 2],
      ["Three", 1],
    ]);
    const sections = entries.map(({ chars }) => partOf(text, { chars }).text);
    expect(sections[0]).toStartWith("# One\n");
    expect(sections[0]).toEndWith("#tag\n");
    expect(sections[1]).toStartWith("## Two");
    expect(sections[2]).toBe("# Three\r\nend");
  });

  test("headings are those of each line by itself, whatever comes before", () => {
    const piece = fc.constantFrom(
      "#",
      "##",
      "#######",
      " ",
      "   ",
      "    ",
      "\t",
      "a",
      "`",
      "\r",
      "\n",
      "\n#",
      "\r\n## ",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const text = pieces.join("");
        const levels = text
          .split("\n")
          .flatMap((line) => /^ {0,3}(#{1,6})(?:[ \t]|\r?$)/.exec(line)?.[1]?.length ?? []);
        const hasFence = /^ {0,3}```/m.test(text);
        fc.pre(!hasFence);
        expect([text, headingsOf(text).entries.map(({ level }) => level)]).toEqual([text, levels]);
      }),
      { numRuns: 1000 },
    );
  });

  test("keys of JSON: each range is the text of its value", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), fc.boolean(), (compact, spaced) => {
        const text = spaced ? JSON.stringify(JSON.parse(compact), null, 2) : compact;
        const value: unknown = JSON.parse(text);
        for (const { name, chars, size, items, type } of keysOf(text).entries) {
          const wanted = name
            .slice(1)
            .split("/")
            .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"))
            .reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], value);
          const part = partOf(text, { chars }).text;
          expect(JSON.parse(part)).toEqual(wanted);
          expect(size).toBe(part.length);
          expect(items ?? null).toBe(typeof wanted === "object" && wanted !== null ? Object.keys(wanted).length : null);
          expect(type).toBe(wanted === null ? "null" : Array.isArray(wanted) ? "array" : typeof wanted);
        }
      }),
    );
  });

  test("are bounded", () => {
    expect(headingsOf("# x\n".repeat(600))).toMatchObject({ isCut: true, entries: { length: 500 } });
    expect(keysOf(JSON.stringify(Array.from({ length: 600 }, () => 1)))).toMatchObject({
      isCut: true,
      entries: { length: 500 },
    });
  });
});

test("context_get gives a part, an outline, and the whole where nothing is asked", async () => {
  await using core = startCore();
  const text = Array.from({ length: 100 }, (_, i) => `line ${i + 1}\n`).join("");
  await core.call("context_put", { id: "s/text", content: text });
  await core.call("context_put", { id: "s/json", content: { a: [1, 2], b: { c: "d" } } });
  expect(await core.call("context_get", { id: "s/text" })).toMatchObject({ content: text });
  expect(await core.call("context_get", { id: "s/text", lines: "99-" })).toMatchObject({
    content: "line 99\nline 100\n",
    part: { lines: "99-100", total_lines: 100 },
  });
  expect(await core.call("context_get", { id: "s/json", max_chars: 10 })).toMatchObject({
    content: '{"a":[1,2]',
    part: { next: "11-20", total_chars: 25 },
  });
  expect(await core.call("context_get", { id: "s/json", max_chars: 25 })).toMatchObject({ content: { a: [1, 2] } });
  const outline = await core.call("context_get", { id: "s/json", outline: true });
  expect(outline).toMatchObject({ outline: [{ name: "/a", chars: "6-10", type: "array", items: 2 }, {}, {}, {}, {}] });
  expect(Object.keys(outline)).not.toContain("content");
  for (const wrong of [{ lines: "0-1" }, { lines: "x" }, { outline: true, lines: "1" }, { lines: "101" }])
    await expect(core.call("context_get", { id: "s/text", ...wrong })).rejects.toBeInstanceOf(Fault);
});
