// File names and ids, each from the other.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { idProblem } from "../../src/features/context/index.ts";
import { idOfPath, pathOfId } from "../../src/folder/names.ts";

const PREFIX = "team/wiki";
const part = fc.oneof(
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 }),
  fc
    .array(
      fc.constantFrom(
        "a",
        " ",
        "  ",
        "~",
        "{",
        "}",
        "~{",
        "~{7e}",
        "%",
        "%41",
        "%{",
        "%{2e}",
        "%{25}{",
        ".",
        "\\",
        "\u200b",
        "\uFE0F",
        "é",
        "e\u0301",
        "~{2f}",
        "~{d800}",
        "~{fffd}",
        "metadata",
        "versions",
        "12",
        "\u0301",
        "stream",
        "\n",
      ),
      { minLength: 1, maxLength: 4 },
    )
    .map((parts) => parts.join("")),
);

test("a file has one id, which is valid, and that id has this file", () => {
  const name = part.filter(
    (text) => !text.startsWith(".") && !/[/\0\uFFFD]|%\{7e\}\{/.test(text) && text.isWellFormed(),
  );
  fc.assert(
    fc.property(fc.array(name, { minLength: 1, maxLength: 3 }), (names) => {
      const path = `${names.join("/")}.md`.normalize("NFC");
      // Normal forms of what is beside each other may begin with a dot no more than what was given.
      const id = idOfPath(PREFIX, path);
      expect(idProblem(id)).toBeUndefined();
      expect(pathOfId(PREFIX, id)).toBe(path);
    }),
    { numRuns: 3000 },
  );
});

test("an id has one file, which is none that is hidden, and that file has this id", () => {
  const id = fc
    .array(part, { minLength: 1, maxLength: 3 })
    .map((parts) => `${PREFIX}/${parts.join("/")}`.normalize("NFC"))
    .filter((text) => idProblem(text) === undefined);
  fc.assert(
    fc.property(id, (given) => {
      const path = pathOfId(PREFIX, given);
      expect(path.split("/").every((name) => name !== "" && !name.startsWith("."))).toBe(true);
      expect(idOfPath(PREFIX, path)).toBe(given);
    }),
    { numRuns: 3000 },
  );
});

test.each([
  ["plan.md", "team/wiki/plan"],
  ["a b/Ünï (1).md", "team/wiki/a b/Ünï (1)"],
  ["metadata.md", "team/wiki/~{6d}etadata"],
  ["versions/12.md", "team/wiki/versions/~{31}2"],
  ["back\\slash.md", "team/wiki/back~{5c}slash"],
  ["two  spaces .md", "team/wiki/two ~{20}spaces~{20}"],
  ["100%41.md", "team/wiki/100~{25}41"],
  ["%{2e}github/x.md", "team/wiki/.github/x"],
  ["read.md.md", "team/wiki/read.md"],
  ["a%{7e}{2f}b.md", "team/wiki/a~{2f}b"],
  ["a%{7e}{2f}b/c.md", "team/wiki/a~{2f}b/c"],
  ["%{7e}{d800}.md", "team/wiki/~{d800}"],
  ["%{7e}{fffd}.md", "team/wiki/~{fffd}"],
])("%s is %s", (path, id) => {
  expect([idOfPath(PREFIX, path), pathOfId(PREFIX, id)]).toEqual([id, path]);
});
