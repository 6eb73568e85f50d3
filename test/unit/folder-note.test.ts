// Notes as files: front matter and back, hostile YAML, byte order marks and line ends.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { composeNote, digestOf, MARKDOWN, type Note, parseNote } from "../../src/folder/note.ts";
import { computedMs } from "../kit/in-time.ts";

const word = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 12 }),
  fc.constantFrom(
    "yes",
    "no",
    "null",
    "~",
    "- a",
    "a: b",
    "#x",
    "[a",
    "1.0",
    "0x1f",
    "12:30:45",
    "---",
    "'",
    '"',
    "\\",
    " a ",
    "\u0085",
    "\u2028",
    "%41",
    "&a",
    "*a",
    "!b",
    "@c",
    "`d",
    "2024-01-01",
    "y",
    "1e9",
  ),
);
const line = word.filter((text) => text.isWellFormed());
const value: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    line,
    fc.boolean(),
    fc.constant(null),
    fc.integer(),
    fc
      .double({ noNaN: true, noDefaultInfinity: true })
      .filter((number) => !Number.isInteger(number) || Number.isSafeInteger(number)),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(line, tie("value"), { maxKeys: 3, noNullPrototype: true }),
  ),
})).value;
const body = fc.oneof(
  fc
    .array(fc.constantFrom("---\n", "---\r\n", "---", "a: b\n", "\uFEFF", "# Title\n", "text\r\n", "\n", "- x"), {
      maxLength: 6,
    })
    .map((parts) => parts.join("")),
  line,
);
const note: fc.Arbitrary<Note> = fc.record({
  title: line,
  tags: fc.uniqueArray(
    line.filter((tag) => tag !== ""),
    { maxLength: 4 },
  ),
  metadata: fc.dictionary(
    fc.oneof(line, fc.constantFrom("title", "tags", "metadata", "content_type", "__proto__")),
    value,
    { maxKeys: 4, noNullPrototype: true },
  ),
  contentType: fc.constantFrom("text/markdown", "text/plain"),
  body,
});

/** Looks like front matter, and is none: a list. */
const LIST = "---\n- x---\n---\n";

test("a note that is composed and parsed again is the same, whatever it replaces", () => {
  fc.assert(
    fc.property(note, fc.option(note, { nil: undefined }), fc.boolean(), (given, other, withBom) => {
      const before = other === undefined ? "" : `${withBom ? "\uFEFF" : ""}${composeNote(other)}`;
      const text = composeNote(given, before);
      const again = parseNote(text);
      expect(again.remark).toBeUndefined();
      expect(again.note.body).toBe(given.body);
      expect(digestOf(again.note)).toBe(digestOf(given));
      // A second time it stays byte for byte.
      expect(composeNote(given, text)).toBe(text);
    }),
    {
      numRuns: 1000,
      examples: [[{ title: "", tags: [], metadata: {}, contentType: MARKDOWN, body: LIST }, undefined, false]],
    },
  );
});

test("what a file says in its own way stays while it says the same", () => {
  const text = "\uFEFF---\r\n# of the team\r\ntitle:   'Plan'\r\ntags:\r\n  - b\r\n  - a\r\n---\r\nold\r\n";
  const { note: parsed, remark } = parseNote(text);
  expect([parsed.title, parsed.tags, parsed.body, remark]).toEqual(["Plan", ["b", "a"], "old\r\n", undefined]);
  expect(composeNote({ ...parsed, body: "new\r\n" }, text)).toBe(text.replace("old", "new"));
  expect(composeNote({ ...parsed, title: "Other", body: "new\r\n" }, text)).toBe(
    "\uFEFF---\r\ntitle: Other\r\ntags: [b, a]\r\n---\r\nnew\r\n",
  );
});

test("a byte order mark before front matter that is kept as text is of the file", () => {
  const { note: parsed, remark } = parseNote("\uFEFF---\n: [\n---\ntext");
  expect([parsed.body, remark]).toEqual(["---\n: [\n---\ntext", expect.stringContaining("kept as text")]);
  expect(composeNote(parsed, "\uFEFF---\n: [\n---\ntext")).toBe("\uFEFF---\n: [\n---\ntext");
});

test("tags are a list or a text; other members are metadata", () => {
  const text = "---\ntitle: 2024\ntags: a b, c\nproject: x\nmetadata: {title: inner, n: 1}\n---\n";
  expect(parseNote(text).note).toEqual({
    ...{ title: "2024", tags: ["a b", "c"], contentType: "text/markdown", body: "" },
    metadata: { project: "x", title: "inner", n: 1 },
  });
});

const aliases = [
  "a0: &a0 [x]",
  ...Array.from({ length: 40 }, (_, at) => `a${at + 1}: &a${at + 1} [${`*a${at},`.repeat(9)}]`),
];
test.each([
  ["an unfinished list", "a: [1", "is not YAML"],
  ["text in place of members", "just words", "no list of members"],
  ["two documents", "a: 1\n--- x\nb: 2", ""],
  ["a bomb of aliases", aliases.join("\n"), ""],
  ["a bomb of few levels", aliases.slice(0, 8).join("\n"), "more than 2000 values"],
  ["a value within itself", "a: &a {b: *a}", "more than 16 levels"],
  ["many levels", `a: ${"[".repeat(5000)}${"]".repeat(5000)}`, ""],
  ["a number that is not kept", "id: 12345678901234567890", "write it in quotes"],
  ["no number", "a: .nan", "write it in quotes"],
  ["a type that is no text", "content_type: application/json", "no type of text"],
])("front matter with %s is kept as text, and named", (_what, yaml, why) => {
  const text = `---\n${yaml}\n---\nbody`;
  const startedMs = computedMs();
  const { note: parsed, remark } = parseNote(text);
  expect(computedMs() - startedMs).toBeLessThan(2000);
  expect(parsed).toEqual({ title: "", tags: [], metadata: {}, contentType: "text/markdown", body: text });
  expect(remark).toContain("its front matter is kept as text: ");
  expect(remark).toContain(why);
  // The same text comes back from the store, behind a front matter of its own where it needs one.
  expect(parseNote(composeNote(parsed)).note).toEqual(parsed);
});

test("what has no end, or one too far away, is no front matter", () => {
  for (const text of ["---\ntitle: x\n", `---\n${"a: b\n".repeat(10_000)}---\n`, "--- a\nx\n---\n", "----\nx\n----\n"])
    expect(parseNote(text)).toEqual({
      note: { title: "", tags: [], metadata: {}, contentType: "text/markdown", body: text },
    });
});
