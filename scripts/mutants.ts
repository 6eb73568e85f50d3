// npm run mutants: breaks sources in small ways, one at a time, and says which breaks no unit test sees. `-- FILE…`
// restricts it to files and folders, `--max N` draws N mutants of each file (`--seed N` repeats the choice), `--tests
// N` runs the N nearest test files. The last line counts passed (killed, timed out) and failed (survived) mutants.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { copyTree, MutantRuns, sourcesUnder, testsOf } from "./mutant-runs.ts";
import { mutantsOf, sample } from "./mutate-lines.ts";

const root = dirname(import.meta.dir);
const FOLDERS = ["src/access", "src/log", "src/cache", "src/fleet", "src/operation"];

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(130));
process.exit(await main());

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { max: { type: "string" }, seed: { type: "string" }, tests: { type: "string", default: "12" } },
  });
  const max = values.max === undefined ? Number.POSITIVE_INFINITY : Number(values.max);
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
  const tests = Number(values.tests);
  const sources = sourcesUnder(root, positionals.length === 0 ? FOLDERS : positionals);
  if (!(max >= 1 && tests >= 1 && Number.isInteger(seed)) || sources.length === 0) {
    console.error("usage: npm run mutants -- [FILE|FOLDER]... [--max N] [--seed N] [--tests N]");
    return 2;
  }
  if (values.max !== undefined) console.log(`seed ${seed}`);
  using copy = copyTree(root);
  // An exit by a signal passes `using` by.
  process.on("exit", () => copy[Symbol.dispose]());
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const source of sources) await judgeAll(copy.root, source, { max, seed, tests }, sum);
  console.log(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
  return sum.failed === 0 ? 0 : 1;
}

async function judgeAll(
  copy: string,
  source: string,
  { max, seed, tests }: { max: number; seed: number; tests: number },
  sum: { passed: number; failed: number; skipped: number },
): Promise<void> {
  const original = readFileSync(join(copy, source), "utf8");
  const mutants = sample(mutantsOf(original), max, seed);
  if (mutants.length === 0) return;
  const runs = new MutantRuns(copy, source);
  const near = testsOf(copy, source).slice(0, tests);
  for (const test of await runs.begin(near)) console.log(`${test} fails on ${source} as it is, and is left out`);
  for (const mutant of mutants) {
    const verdict = await runs.judge(mutant, original);
    if (verdict === "survived") sum.failed += 1;
    else sum.passed += 1;
    console.log(`${verdict.padEnd(9)} ${source}:${mutant.line}  ${mutant.from} → ${mutant.to || "(nothing)"}`);
  }
}
