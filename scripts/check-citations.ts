// Citations of the contract pages in docs/: each must name a rule or section that exists. Refuses the old form
// `design N` and references to notes outside the repository. Links of pages are checked in check-docs.ts.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { lineAt } from "./code-text.ts";

/** Pages of docs/ whose numbered headings are cited. */
const CITED = ["architecture", "replication", "security", "features"] as const;

/** Numbers of each cited page, such as `security.md` → 1 to 26. */
export type Numbers = ReadonlyMap<string, ReadonlySet<number>>;

/** Spaces, or one line break with the comment marker of the next line. */
const GAP = String.raw`(?:[ \t]+|[ \t]*\r?\n[ \t]*(?:\/\/|\*|--|#|>)?[ \t]*)`;
const ITEM = String.raw`\d{1,3}(?:\s?[–-]\s?\d{1,3})?(?![\w.]*\d)`;
const LIST = `${ITEM}(?:(?:,${GAP}?(?:and${GAP})?|;${GAP}|${GAP}(?:and|or|to)${GAP})${ITEM})*`;
/** A page, perhaps in backticks or as a link, and the numbers after it. */
const CITATION = new RegExp(
  String.raw`\b(${CITED.join("|")})\.md(?:[\x60*]*|\x60?\]\([^)]*\))(?:'s)?[,:]?${GAP}[(§#]?\s?(?:(?:rules?|sections?)${GAP})?(${LIST})`,
  "g",
);
const OLD_FORM = new RegExp(String.raw`(?<![\w/-])design(?:\.md)?\x60?${GAP}(\d{1,2})\b`, "g");
const OUTSIDE = /(?<![\w-])(?:notes|shared|seeds)\/(?:[\w-]+\.md\b|(?![\w.-]))/g;

/** Reads the numbers of the headings of the cited pages. */
export function readNumbers(root: string): Numbers {
  return new Map(
    CITED.map((page) => [`${page}.md`, numbersOf(readFileSync(join(root, "docs", `${page}.md`), "utf8"))]),
  );
}

/** Returns the numbers of the headings of one page: `## 4. Title` and `### 4. Title`. */
export function numbersOf(page: string): ReadonlySet<number> {
  const plain = page.replace(/^```[\s\S]*?^```/gm, "");
  return new Set([...plain.matchAll(/^#{2,3} (\d+)\. \S/gm)].map((match) => Number(match[1])));
}

/** Returns what is wrong with the citations of one file, each with its line. */
export function citationProblems(file: string, text: string, numbers: Numbers): string[] {
  // The checks and their tests write wrong citations on purpose.
  if (file.startsWith("scripts/check-") || file.startsWith("test/unit/check-")) return [];
  const missing = [...text.matchAll(CITATION)].flatMap((match) => {
    const page = `${match[1]}.md`;
    return numbersIn(match[2] ?? "")
      .filter((number) => numbers.get(page)?.has(number) !== true)
      .map((number) => at(file, text, match.index, `cites ${page} ${number}, and docs/${page} has no such number`));
  });
  const old = [...text.matchAll(OLD_FORM)].map((match) =>
    at(file, text, match.index, `cites "${oneLine(match[0])}": write architecture.md ${match[1]}`),
  );
  const outside = [...text.matchAll(OUTSIDE)].map((match) =>
    at(file, text, match.index, `names ${match[0]}, which is not in the repository: cite a page of docs/`),
  );
  return [...missing, ...old, ...outside];
}

/** Returns every number of a list such as `5, 7` or `31–34`; of a range all numbers in it. */
function numbersIn(list: string): number[] {
  return [...list.matchAll(/(\d+)(?:\s?[–-]\s?(\d+))?/g)].flatMap(([, first, last]) => {
    const from = Number(first);
    const to = Math.max(from, Number(last ?? first));
    return Array.from({ length: to - from + 1 }, (_, offset) => from + offset);
  });
}

function at(file: string, text: string, index: number, what: string): string {
  return `${file}:${lineAt(text, index)} ${what}`;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ");
}
