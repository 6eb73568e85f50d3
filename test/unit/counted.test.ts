// Counts in words: one place writes them, so that nothing says "1 versions".

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { counted } from "../../src/lib/counted.ts";

test.each([
  [counted(0, "version"), "0 versions"],
  [counted(1, "version"), "1 version"],
  [counted(2, "version"), "2 versions"],
  [counted(1, "miss", "misses"), "1 miss"],
  [counted(3, "miss", "misses"), "3 misses"],
])("%s", (text, wanted) => {
  expect(text).toBe(wanted);
});

const NOUNS =
  "agents|calls|changes|conflicts|connections|contexts|days|documents|hits|lines|members|misses|requests|rounds|settings|spaces|times|versions|writes";

test("no text counts things by itself; bounds that are more than one have capitals", () => {
  const root = join(import.meta.dir, "../../src");
  const plain = new RegExp(`\\$\\{(?!MAX_|max\\})[^}]*\\} (?:${NOUNS})\\b`);
  const found = [...new Bun.Glob("**/*.{ts,tsx}").scanSync(root)].flatMap((path) =>
    readFileSync(join(root, path), "utf8")
      .split("\n")
      .flatMap((line, at) => (plain.test(line) ? [`${path}:${at + 1}: ${line.trim()}`] : [])),
  );
  expect(found).toEqual([]);
});
