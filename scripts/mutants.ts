// npm run mutants: breaks sources in small ways, one at a time, and says which breaks no test sees. `-- FILE…`
// restricts it to files and folders, `--max N` draws N mutants of each file (`--seed N` repeats the choice), `--tests
// N` runs the N nearest of the test files that run a line. The last line counts passed (killed, timed out), failed
// (survived) and skipped mutants: those that are accepted, and those that Go does not compile.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { GoMutantRuns } from "./go-mutant-runs.ts";
import { copyTree, type Judge, MutantRuns, sourcesUnder } from "./mutant-runs.ts";
import { acceptedMutants, reasonFor } from "./mutants-accepted.ts";
import { type Mutant, mutantsOf, sample } from "./mutate-lines.ts";

const root = dirname(import.meta.dir);
const FOLDERS = ["src/access", "src/log", "src/cache", "src/fleet", "src/operation", "native/raftlog"];

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
  const judges = judgesIn(copy.root, tests);
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const source of sources) {
    const mutants = sample(mutantsOf(readFileSync(join(root, source), "utf8"), languageOf(source)), max, seed);
    await judgeAll(source, mutants, judges, sum);
  }
  console.log(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
  return sum.failed === 0 ? 0 : 1;
}

async function judgeAll(
  source: string,
  mutants: readonly Mutant[],
  judgeOf: JudgeOf,
  sum: { passed: number; failed: number; skipped: number },
): Promise<void> {
  const accepted = acceptedMutants(root);
  const lines = mutants.filter((mutant) => reasonFor(accepted, source, mutant) === undefined).map(({ line }) => line);
  const judge = lines.length === 0 ? undefined : await judgeOf(source, lines);
  for (const mutant of mutants) {
    const reason = reasonFor(accepted, source, mutant);
    const verdict = reason === undefined ? await judge?.(mutant) : "accepted";
    if (verdict === "survived") sum.failed += 1;
    else if (verdict === "accepted" || verdict === "no build") sum.skipped += 1;
    else sum.passed += 1;
    console.log(`${verdict?.padEnd(9)} ${source}:${mutant.line}  ${mutant.from} → ${mutant.to || "(nothing)"}`);
  }
}

/** Returns the judge of mutants on lines of a source. */
type JudgeOf = (source: string, lines: readonly number[]) => Promise<Judge>;

/** Returns what finds the judge of a source's mutants. It prints the tests that fail on the sources as they are. */
function judgesIn(copy: string, count: number): JudgeOf {
  const runs = new MutantRuns(copy);
  const packages = new Map<string, GoMutantRuns>();
  const leftOut = (tests: readonly string[], where: string): void => {
    for (const test of tests) console.log(`${test} fails on ${where} as it is, and is left out`);
  };
  return async (source, lines) => {
    if (languageOf(source) === "TypeScript") {
      const { judge, failing } = await runs.begin(source, lines, count);
      leftOut(failing, source);
      return judge;
    }
    const folder = dirname(source);
    const known = packages.get(folder);
    if (known !== undefined) return known.judge(source);
    const { runs: begun, failing } = await GoMutantRuns.begin(copy, folder);
    leftOut(failing, folder);
    packages.set(folder, begun);
    return begun.judge(source);
  };
}

function languageOf(source: string): "TypeScript" | "Go" {
  return source.endsWith(".go") ? "Go" : "TypeScript";
}
