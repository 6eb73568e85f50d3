// npm test: the checks and every test there is, with what they need built first. `npm test -- unit go` runs parts of
// it, `npm test -- --changed` what a change can reach; test/DESIGN.md says more. The last line is always "N passed, N
// failed, N skipped", summed over all runners.

import { dirname } from "node:path";
import type { Counts } from "./check.ts";
import { BuildError } from "./native.ts";
import {
  type Choice,
  changedSince,
  choosePackages,
  chooseTests,
  goPackages,
  NATIVE,
  NoReference,
} from "./test-changed.ts";
import { build, type Need, type Outcome, PARTS, type Part, type Write } from "./test-parts.ts";
import { addUp, type PartResult, reportLines, slowestOf, time } from "./test-report.ts";
import { refuseSilentSkips } from "./test-results.ts";
import { filesUnder, UseGraph } from "./use-graph.ts";

const root = dirname(import.meta.dir);
/** So many files are named behind each part; the end names more of them. */
const SLOWEST_OF_PART = 5;

// Only this prints to stdout: mixed with console.log, lines could end up inside each other.
const print: Write = (text) => void process.stdout.write(text);

/** A part with what it needs, and the files or packages that were chosen of it; undefined for all. */
interface Planned {
  part: Part;
  needs: readonly Need[];
  only?: readonly string[];
}

const options = process.argv.slice(2).filter((word) => word.startsWith("-"));
const names = process.argv.slice(2).filter((word) => !word.startsWith("-"));
const changed = options.find((word) => word === "--changed" || word.startsWith("--changed="));
const unknown =
  options.find((word) => word !== changed) ?? names.find((name) => !PARTS.some((part) => part.name === name));
if (unknown !== undefined) {
  console.error(`cairn: no part or option "${unknown}"`);
  console.error(`usage: npm test -- [${PARTS.map(({ name }) => name).join("|")}]... [--changed[=REF]]`);
  process.exit(2);
}

try {
  const parts = PARTS.filter(({ name }) => names.length === 0 || names.includes(name));
  process.exit(
    await runAll(
      changed === undefined
        ? parts.map((part) => ({ part, needs: part.needs }))
        : reachable(parts, changed.split("=")[1]),
    ),
  );
} catch (error) {
  if (!(error instanceof NoReference)) throw error;
  console.error(`cairn: ${error.message}`);
  process.exit(2);
}

/** Runs the parts, prints the end, and returns the exit code. */
async function runAll(planned: readonly Planned[]): Promise<number> {
  const started = performance.now();
  const results: PartResult[] = [];
  const broken = new Map<Need, unknown>();
  const built = new Set<Need>();
  for (const stage of stagesOf(planned)) {
    for (const need of new Set(stage.flatMap(({ needs }) => needs))) {
      if (built.has(need)) continue;
      built.add(need);
      results.push(await buildFor(need, broken));
    }
    results.push(...(await runStage(stage, broken)));
  }
  print(`\n${reportLines(results, secondsSince(started)).join("\n")}\n`);
  return addUp(results.map(({ counts }) => counts)).failed === 0 ? 0 : 1;
}

/**
 * Returns the parts in groups that run one after the other: parts next to each other that may run side by side are one.
 */
function stagesOf(planned: readonly Planned[]): Planned[][] {
  const stages: Planned[][] = [];
  for (const one of planned) {
    const last = stages.at(-1);
    if (last?.at(-1)?.part.sideBySide === true && one.part.sideBySide === true) last.push(one);
    else stages.push([one]);
  }
  return stages;
}

/** Builds one need. Where that fails, the parts that have it fail with the reason; it is no test of its own. */
async function buildFor(need: Need, broken: Map<Need, unknown>): Promise<PartResult> {
  const started = performance.now();
  try {
    await build(need);
  } catch (error) {
    broken.set(need, error);
  }
  return { name: `build ${need}`, counts: addUp([]), seconds: secondsSince(started), files: [] };
}

/**
 * Runs parts side by side. The first prints at once; what others print is held back until those before them have ended.
 */
async function runStage(stage: readonly Planned[], broken: ReadonlyMap<Need, unknown>): Promise<PartResult[]> {
  const results: PartResult[] = [];
  const running = stage.map((planned, at) => {
    const held: string[] = [];
    let write: Write = at === 0 ? print : (text) => void held.push(text);
    const show = (): void => {
      for (const text of held.splice(0)) print(text);
      write = print;
    };
    return { show, result: runPart(planned, broken, (text) => write(text)) };
  });
  for (const { show, result } of running) {
    show();
    results.push(await result);
  }
  return results;
}

/** Runs one part; whatever breaks counts as one failed test. */
async function runPart(
  { part, needs, only }: Planned,
  broken: ReadonlyMap<Need, unknown>,
  write: Write,
): Promise<PartResult> {
  write(`\n== ${part.name}\n`);
  const started = performance.now();
  let outcome: Outcome;
  try {
    const missing = needs.find((need) => broken.has(need));
    if (missing !== undefined) throw broken.get(missing);
    outcome = await part.run(write, only);
  } catch (error) {
    write(`FAIL  ${part.name}: ${messageOf(error)}\n`);
    outcome = {
      counts: { passed: 0, failed: 1, failures: [`${part.name}: ${messageOf(error)}`], skipped: [] },
      files: [],
    };
  }
  const counts: Counts = refuseSilentSkips(outcome.counts);
  const seconds = secondsSince(started);
  const slow = slowestOf(outcome.files, SLOWEST_OF_PART).map((one) => `${one.file} ${time(one.seconds)}`);
  if (slow.length > 0) write(`slowest: ${slow.join(", ")}\n`);
  write(
    `== ${part.name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped.length} skipped in ${time(seconds)}\n`,
  );
  return { name: part.name, counts, seconds, budgetSeconds: part.budgetSeconds, files: outcome.files };
}

/**
 * Returns what a change can reach of these parts, and prints what was chosen and why. The checks run whatever changed.
 */
function reachable(parts: readonly Part[], ref?: string): Planned[] {
  const { commit, files } = changedSince(root, ref);
  print(`${files.length} files differ from ${commit}\n`);
  const tests = [...new Bun.Glob("test/**/*.test.{ts,tsx}").scanSync({ cwd: root }), "test/conformance/run.ts"].sort();
  const graph = new UseGraph(filesUnder(root));
  const chosen = chooseTests(tests, files, graph);
  return parts.flatMap((part): Planned[] => {
    if (part.name === "check") return [{ part, needs: [] }];
    const isGo = part.name === "go";
    const all = isGo
      ? goPackages(root).map(({ folder }) => folder)
      : tests.filter((file) => file.startsWith(`test/${part.name}/`));
    const ofPart = isGo ? choosePackages(goPackages(root), files) : chosen.filter(({ name }) => all.includes(name));
    printChoice(part.name, ofPart, all.length);
    const only = ofPart.map(({ name }) => name);
    const isBuilt = only.some((name) => graph.wayTo(name, new Set([NATIVE])) !== undefined);
    return only.length === 0 ? [] : [{ part, needs: isBuilt ? part.needs : [], only }];
  });
}

function printChoice(part: string, choices: readonly Choice[], all: number): void {
  print(`${part}: ${choices.length} of ${all}\n`);
  for (const { name, why } of choices) print(`  ${name}: ${why}\n`);
}

function secondsSince(started: number): number {
  return (performance.now() - started) / 1000;
}

function messageOf(error: unknown): string {
  if (error instanceof BuildError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
