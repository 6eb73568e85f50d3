// Runs the tests that reach a TypeScript source on its mutants, in a copy of the tree. Writes nothing into the
// tree itself. Which mutants there are, scripts/mutate-lines.ts says; scripts/go-mutant-runs.ts runs those of Go.

import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Mutant } from "./mutate-lines.ts";
import { testEnvironment } from "./test-environment.ts";
import { TestReach, testsOfLine } from "./test-reach.ts";
import { filesUnder, UseGraph } from "./use-graph.ts";

/** Tests may take so much longer on a mutant. The spare time is above TEST_MS: what waits in vain fails by itself. */
const SLOWER = 3;
export const SPARE_MS = 30_000;
const BASE_MS = 600_000;
const TEST_MS = 20_000;
/** The nearest test files run first: most mutants end there. */
const FIRST = 3;

export type Verdict = "killed" | "survived" | "timed out" | "no build";
/** Returns what the tests make of a mutant. The source is as it was afterwards. */
export type Judge = (mutant: Mutant) => Promise<Verdict>;

/** A copy of a tree in which files may be changed. */
export interface Copy extends Disposable {
  root: string;
}

/** Copies a tree. What is large and not changed here, packages and builds, is linked. */
export function copyTree(root: string): Copy {
  const copy = mkdtempSync(join(tmpdir(), "cairn-mutants-"));
  const linked = ["node_modules", "build", "dist"];
  for (const name of readdirSync(root)) {
    if (name === ".git") continue;
    if (linked.includes(name)) symlinkSync(join(root, name), join(copy, name));
    else cpSync(join(root, name), join(copy, name), { recursive: true });
  }
  return { root: copy, [Symbol.dispose]: () => rmSync(copy, { recursive: true, force: true }) };
}

/** The unit and contract tests of a copy, and their run on mutants of its TypeScript sources. */
export class MutantRuns {
  readonly #root: string;
  readonly #graph: UseGraph;
  /** How long each test file took on the sources as they are; undefined for one that fails on them. */
  readonly #usualMs = new Map<string, number | undefined>();

  readonly #reach: TestReach;
  readonly #spareMs: number;

  /** Tests on a mutant are late `spareMs` after three times their usual time. */
  constructor(root: string, spareMs = SPARE_MS) {
    this.#root = root;
    this.#spareMs = spareMs;
    this.#graph = new UseGraph(filesUnder(root));
    this.#reach = new TestReach(root, join(root, "build/mutants"), async (test, flags) => {
      return (await this.#run([test], BASE_MS, flags)) === "survived";
    });
  }

  /**
   * Returns the unit and contract tests that can reach a source, the nearest first: those with its name, those that
   * name one of its exports (also where they import it by the `index.ts` of its folder), then by the number of imports
   * between. Of those that are equally near the unit tests come first: they take less time.
   */
  testsOf(source: string): string[] {
    return this.#candidates(source).map(({ test }) => test);
  }

  #candidates(source: string): { test: string; isNamed: boolean }[] {
    const read = (path: string): string => readFileSync(join(this.#root, path), "utf8");
    const named = new RegExp(`(?:^|-)${basename(source).replace(/\.tsx?$/, "")}\\b`);
    const exported = /^export (?:async )?(?:function\*?|class|const|let) (\w+)/gm;
    const names = [...read(source).matchAll(exported)].map(([, each]) => each);
    const naming = names.length === 0 ? undefined : new RegExp(`\\b(?:${names.join("|")})\\b`);
    const distance = (test: string, imports: number): number => {
      if (named.test(basename(test))) return 0;
      return naming?.test(read(test)) === true ? 1 : 1 + imports;
    };
    const isContract = (test: string): boolean => test.startsWith("test/contract/");
    return [...new Bun.Glob("test/{unit,contract}/**/*.test.{ts,tsx}").scanSync({ cwd: this.#root })]
      .sort()
      .sort((one, other) => Number(isContract(one)) - Number(isContract(other)))
      .flatMap((test) => {
        const way = this.#graph.wayTo(test, new Set([source]));
        return way === undefined ? [] : [{ test, far: distance(test, way.length) }];
      })
      .sort((one, other) => one.far - other.far)
      .map(({ test, far }) => ({ test, isNamed: far === 0 }));
  }

  /**
   * Returns the judge of mutants on `lines` of a source, and the tests that fail on the source as it is. A mutant is
   * judged by the `count` nearest of the tests that run its line, and by those with the name of the source, which may
   * run it in a process of their own.
   */
  async begin(
    source: string,
    lines: readonly number[],
    count = Number.POSITIVE_INFINITY,
  ): Promise<{ judge: Judge; failing: string[] }> {
    const candidates = this.#candidates(source);
    const tests = candidates.map(({ test }) => test);
    const reach = await this.#reach.of(source, tests);
    const named = candidates.filter(({ isNamed }) => isNamed).map(({ test }) => test);
    const choice = new Map<number, string[]>();
    for (const line of new Set(lines)) {
      const chosen = new Set([...named, ...testsOfLine(reach, tests, line)].slice(0, count));
      choice.set(
        line,
        tests.filter((test) => chosen.has(test)),
      );
    }
    const chosen = new Set([...choice.values()].flat());
    for (const test of tests.filter((each) => chosen.has(each))) await this.#measure(test);
    const judge: Judge = (mutant) => {
      const good = (choice.get(mutant.line) ?? []).filter((test) => this.#usualMs.get(test) !== undefined);
      const steps = [good.slice(0, 1), good.slice(1, FIRST), good.slice(FIRST)].filter((step) => step.length > 0);
      return this.#judge(source, mutant, steps);
    };
    const isGood = (test: string) => (chosen.has(test) ? this.#usualMs.get(test) !== undefined : reach.has(test));
    return { judge, failing: tests.filter((test) => !isGood(test)) };
  }

  async #measure(test: string): Promise<void> {
    if (this.#usualMs.has(test)) return;
    const startedMs = performance.now();
    const isGood = (await this.#run([test], BASE_MS)) === "survived";
    this.#usualMs.set(test, isGood ? performance.now() - startedMs : undefined);
  }

  async #judge(source: string, mutant: Mutant, steps: readonly (readonly string[])[]): Promise<Verdict> {
    return await withMutant(join(this.#root, source), mutant, async () => {
      for (const step of steps) {
        const usualMs = step.reduce((sum, test) => sum + (this.#usualMs.get(test) ?? 0), 0);
        const verdict = await this.#run(step, lateMs(usualMs, this.#spareMs));
        if (verdict !== "survived") return verdict;
      }
      return "survived";
    });
  }

  #run(tests: readonly string[], deadlineMs: number, flags: readonly string[] = []): Promise<Verdict> {
    const paths = tests.map((test) => `./${test}`);
    const cmd = [process.execPath, "test", "--isolate", "--bail", `--timeout=${TEST_MS}`, ...flags, ...paths];
    return runTests(cmd, this.#root, { CAIRN_ROOT: this.#root }, deadlineMs);
  }
}

/** Runs `work` while a file is a mutant. The file is as it was afterwards. */
export async function withMutant<T>(path: string, mutant: Mutant, work: () => Promise<T>): Promise<T> {
  const original = readFileSync(path, "utf8");
  writeFileSync(path, mutant.source);
  try {
    return await work();
  } finally {
    writeFileSync(path, original);
  }
}

/** Returns when tests that usually take `usualMs` are late on a mutant. */
export function lateMs(usualMs: number, spareMs: number): number {
  return SLOWER * usualMs + spareMs;
}

/** Runs a command that ends with 0 if its tests pass, and ends it and what it started after `deadlineMs`. */
export async function runTests(
  cmd: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
  deadlineMs: number,
): Promise<"killed" | "survived" | "timed out"> {
  const child = Bun.spawn({
    cmd: [...cmd],
    cwd,
    env: { ...testEnvironment(), ...env },
    stdio: ["ignore", "ignore", "ignore"],
    // A group of its own, which ends with what the tests started.
    detached: true,
  });
  let isLate = false;
  const stop = (): void => endGroup(child.pid);
  const timer = setTimeout(() => {
    isLate = true;
    stop();
  }, deadlineMs);
  process.once("exit", stop);
  try {
    const code = await child.exited;
    if (isLate) return "timed out";
    return code === 0 ? "survived" : "killed";
  } finally {
    clearTimeout(timer);
    process.off("exit", stop);
  }
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

/** Returns the sources under files and folders of the tree, without what is missing. */
export function sourcesUnder(root: string, paths: readonly string[]): string[] {
  return paths
    .flatMap((path) =>
      existsSync(join(root, path)) && /\.(?:tsx?|go)$/.test(path)
        ? [path]
        : [...new Bun.Glob(`${path.replace(/\/+$/, "")}/**/*.{ts,tsx,go}`).scanSync({ cwd: root })],
    )
    .filter((path) => !path.endsWith("_test.go"))
    .sort();
}
