// Citations of the contract pages and the length of comment lines: each breach is found, and what is right passes.

import { describe, expect, test } from "bun:test";
import { dirname } from "node:path";
import { citationProblems, type Numbers, numbersOf, readNumbers } from "../../scripts/check-citations.ts";
import { longComments } from "../../scripts/check-docs.ts";

const root = dirname(dirname(import.meta.dir));
const NUMBERS: Numbers = new Map([
  ["architecture.md", new Set([1, 2, 5, 7])],
  ["replication.md", new Set([1, 2, 3, 14, 22, 23])],
  ["security.md", new Set([16, 19])],
  ["features.md", new Set([1])],
]);
const found = (text: string): string[] => citationProblems("src/a.ts", text, NUMBERS);

describe("citations", () => {
  test.each([
    "// Applies (replication.md 14).",
    "// Applies (architecture.md 5, 7, replication.md 22 and 23; security.md 16, 19).",
    "// Applies (`replication.md` 1–3).",
    "See [replication.md](../docs/replication.md) rule 14 and [the rest](features.md).",
    "// Never drops entries (replication.md 22,\n// 23).",
    "// Never drops entries (replication.md\n// 22).",
    "// As security.md 19 demands, a request takes at most 10 s; RFC 9110 8.8.3 says more.",
    "// The design of a page; 5 designs; native/DESIGN.md 3 folders.",
  ])("%s is right", (text) => {
    expect(found(text)).toEqual([]);
  });

  test.each([
    ["// (replication.md 15)", "cites replication.md 15, and docs/replication.md has no such number"],
    ["// (replication.md 14, 24)", "cites replication.md 24, and docs/replication.md has no such number"],
    ["// (replication.md 22,\n// 24)", "cites replication.md 24, and docs/replication.md has no such number"],
    ["// (security.md 16, 20)", "cites security.md 20, and docs/security.md has no such number"],
    ["See `features.md` section 2.", "cites features.md 2, and docs/features.md has no such number"],
    [
      "See [it](replication.md), replication.md 22–24",
      "cites replication.md 24, and docs/replication.md has no such number",
    ],
    ...[
      "replication.md, 24",
      "**replication.md** 24",
      "replication.md § 24",
      "replication.md: 24",
      "replication.md (24)",
      "replication.md's 24",
      "replication.md 22; 24",
    ].map(
      (words) =>
        [`// As ${words} says`, "cites replication.md 24, and docs/replication.md has no such number"] as const,
    ),
    ["// The gate (design 4).", 'cites "design 4": write architecture.md 4'],
    ["// The gate (`design.md` 4).", 'cites "design.md` 4": write architecture.md 4'],
    ["// See notes/tailnet.md 1.", "names notes/tailnet.md, which is not in the repository: cite a page of docs/"],
    ["Facts are in `shared/`.", "names shared/, which is not in the repository: cite a page of docs/"],
    ["From seeds/… it grew.", "names seeds/, which is not in the repository: cite a page of docs/"],
  ])("%s is refused", (text, problem) => {
    expect(found(text)).toEqual([`src/a.ts:1 ${problem}`]);
  });

  test("a range names each missing number, and the line is that of the citation", () => {
    expect(found("// one\n// (replication.md 23–25)")).toEqual([
      "src/a.ts:2 cites replication.md 24, and docs/replication.md has no such number",
      "src/a.ts:2 cites replication.md 25, and docs/replication.md has no such number",
    ]);
  });

  test("ids of contexts are no references", () => {
    expect(found('put("shared/direct"); get("notes/today")')).toEqual([]);
  });

  test("numbers are those of headings outside of code", () => {
    expect([...numbersOf("# 1. Title\n## 2. Two\n### 3. Three\n```\n## 4. Code\n```\n4. an item\n## 5.six\n")]).toEqual(
      [2, 3],
    );
  });

  test("the pages have every number of their contract", () => {
    const counts = Object.fromEntries([...readNumbers(root)].map(([page, numbers]) => [page, [...numbers]]));
    const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1);
    expect(counts).toEqual({
      "architecture.md": upTo(15),
      "replication.md": upTo(34),
      "security.md": upTo(26),
      "features.md": upTo(7),
    });
  });
});

describe("comment lines", () => {
  const long = "x".repeat(100);
  const words = `${long} ${"y".repeat(30)}`;

  test.each([
    ["a.ts", `// ${words}`],
    ["a.ts", `const a = 1; // ${words}`],
    ["a.ts", `/**\n * ${words}\n */`],
    ["a.go", `\t// ${words}`],
    ["a.go", `\tx := 1, // ${words}`],
    ["a.sql", `-- ${words}`],
  ])("%s with %j is refused", (file, text) => {
    expect(longComments(file, text)).toHaveLength(1);
  });

  test.each([
    ["a.ts", `// ${long}`],
    ["a.ts", `const a = "// ${words}";`],
    ["a.ts", `const a = \`\n// ${words}\n\`;`],
    ["a.ts", `// biome-ignore lint/x: ${words}`],
    ["a.ts", `// https://example.com/${"z".repeat(120)}`],
    ["a.go", `\tcall(${long}, ${long})`],
    ["a.ts", `// ${"é".repeat(115)}`],
  ])("%s with %j passes", (file, text) => {
    expect(longComments(file, text)).toEqual([]);
  });

  test("the line is named", () => {
    expect(longComments("a.ts", `// one\n// ${words}\n`)).toEqual([
      "a.ts:2: a comment line has 134 characters, 120 are allowed",
    ]);
  });
});
