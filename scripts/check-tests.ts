// Rules for tests that no linter here has: an assertion on a promise is awaited, no test runs alone, and a test that
// may be skipped says what it needs.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterBracket, codeOnly, lineAt, withoutComments } from "./code-text.ts";

/** Checks every TypeScript file of test/. */
export function checkTests(root: string): string[] {
  const files = [...new Bun.Glob("test/**/*.{ts,tsx}").scanSync({ cwd: root })].sort();
  return files.flatMap((file) => testProblems(file, readFileSync(join(root, file), "utf8")));
}

/** Returns what is wrong with one file; `file` is only for the messages. */
export function testProblems(file: string, source: string): string[] {
  const code = codeOnly(source);
  const said = (at: number, problem: string): string => `${file}:${lineAt(source, at)}: ${problem}`;
  return [
    ...floating(code).map((at) => said(at, "await this expect: its promise fails after the test has passed")),
    ...alone(code).map((at) => said(at, "only this test would run: remove .only")),
    ...withoutReason(code, withoutComments(source)).map((at) =>
      said(at, "say what this test needs at the end of its title, as in [needs root]"),
    ),
  ];
}

/** Returns where an `expect(…).rejects` or `.resolves` is a statement of its own. */
function floating(code: string): number[] {
  return [...code.matchAll(/\bexpect\s*\(/g)].flatMap(({ index, 0: found }) => {
    const end = afterBracket(code, index + found.length - 1);
    if (!/^(?:\s*\.\s*not\b)?\s*\.\s*(?:rejects|resolves)\b/.test(code.slice(end))) return [];
    const before = code.slice(0, index).trimEnd();
    const isStatement =
      before === "" || /[;{})]$|\b(?:else|do|void)$|\.\s*forEach\s*\((?:[^()]|\([^()]*\))*=>$/.test(before);
    return isStatement ? [index] : [];
  });
}

function alone(code: string): number[] {
  return [...code.matchAll(/\b(?:test|it|describe)\b[^;{}]*?\.\s*only\b|\.\s*only\s*[(.<]/g)].map(({ index }) => index);
}

/** Returns where a test is skipped, or may be, and its title does not end with a reason in brackets. */
function withoutReason(code: string, text: string): number[] {
  return [
    ...code.matchAll(
      /\b(?:test|it|describe)(?:\s*\.\s*\w+(?:\s*\([^(){};]*\))?)*?\s*\.\s*(skipIf|if|todoIf|skip|todo)\b|\bx(?:test|it|describe)\b/g,
    ),
  ].flatMap((match) => {
    let at = match.index + match[0].length;
    // The condition of the skip, and the rows of `each`, come before the title.
    if (match[1]?.endsWith("If") || match[1] === "if") at = afterBracket(code, at);
    const each = /^\s*\.\s*each\b[^(]*/.exec(code.slice(at));
    if (each !== null) at = afterBracket(code, at + each[0].length);
    const open = code.indexOf("(", at);
    const title = text.slice(open + 1, titleEnd(code, open + 1));
    return /\[[^\]]+\]\s*["'`]\s*$/.test(title) ? [] : [match.index];
  });
}

/** Returns the index of the comma or bracket after the first argument. */
function titleEnd(code: string, start: number): number {
  for (let at = start; at < code.length; at += 1) {
    if (code[at] === "," || code[at] === ")") return at;
    if ("([{".includes(code[at] ?? "")) at = afterBracket(code, at) - 1;
  }
  return code.length;
}
