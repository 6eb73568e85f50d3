// Runs the unit tests that reach a source on each of its mutants, in a copy of the tree. Writes nothing into the tree
// itself. Which mutants there are, scripts/mutate-lines.ts says.

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
import { filesUnder, UseGraph } from "./use-graph.ts";

/** A test file may take so much longer on a mutant than on the source as it is. */
const SLOWER = 3;
const SPARE_MS = 10_000;
const BASE_MS = 600_000;
const TEST_MS = 20_000;
/** The nearest test files run first: most mutants end there. */
const FIRST = 3;

export type Verdict = "killed" | "survived" | "timed out";

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

/**
 * Returns the unit tests that can reach a source, the nearest first: those with its name, those that name one of its
 * exports (also where they import it by the `index.ts` of its folder), then by the number of imports between.
 */
export function testsOf(root: string, source: string): string[] {
  const graph = new UseGraph(filesUnder(root));
  const name = basename(source).replace(/\.tsx?$/, "");
  const exported = /^export (?:async )?(?:function\*?|class|const|let) (\w+)/gm;
  const names = [...readFileSync(join(root, source), "utf8").matchAll(exported)].map(([, each]) => each);
  const naming = names.length === 0 ? undefined : new RegExp(`\\b(?:${names.join("|")})\\b`);
  const distance = (test: string, imports: number): number => {
    if (basename(test).startsWith(name)) return 0;
    return naming?.test(readFileSync(join(root, test), "utf8")) === true ? 1 : 1 + imports;
  };
  return [...new Bun.Glob("test/unit/**/*.test.{ts,tsx}").scanSync({ cwd: root })]
    .sort()
    .flatMap((test) => {
      const way = graph.wayTo(test, new Set([source]));
      return way === undefined ? [] : [{ test, far: distance(test, way.length) }];
    })
    .sort((one, other) => one.far - other.far)
    .map(({ test }) => test);
}

/** The tests of one source, run in a copy. */
export class MutantRuns {
  readonly #root: string;
  readonly #source: string;
  readonly #steps: { tests: readonly string[]; deadlineMs: number }[] = [];

  constructor(root: string, source: string) {
    this.#root = root;
    this.#source = source;
  }

  /** Runs the tests on the source as it is. Returns those that fail on it and are left out. */
  async begin(tests: readonly string[]): Promise<string[]> {
    const failed: string[] = [];
    const passed: { test: string; ms: number }[] = [];
    for (const test of tests) {
      const startedMs = performance.now();
      if ((await this.#run([test], BASE_MS)) === "survived") passed.push({ test, ms: performance.now() - startedMs });
      else failed.push(test);
    }
    for (const step of [passed.slice(0, FIRST), passed.slice(FIRST)]) {
      if (step.length === 0) continue;
      const deadlineMs = SLOWER * step.reduce((sum, { ms }) => sum + ms, 0) + SPARE_MS;
      this.#steps.push({ tests: step.map(({ test }) => test), deadlineMs });
    }
    return failed;
  }

  /** Returns what the tests make of a mutant. The source is as it was afterwards. */
  async judge(mutant: Mutant, original: string): Promise<Verdict> {
    const path = join(this.#root, this.#source);
    writeFileSync(path, mutant.source);
    try {
      for (const { tests, deadlineMs } of this.#steps) {
        const verdict = await this.#run(tests, deadlineMs);
        if (verdict !== "survived") return verdict;
      }
      return "survived";
    } finally {
      writeFileSync(path, original);
    }
  }

  async #run(tests: readonly string[], deadlineMs: number): Promise<Verdict> {
    const paths = tests.map((test) => `./${test}`);
    const child = Bun.spawn({
      cmd: [process.execPath, "test", "--isolate", "--bail", `--timeout=${TEST_MS}`, ...paths],
      cwd: this.#root,
      env: { ...withoutOwnSettings(process.env), CAIRN_ROOT: this.#root },
      stdio: ["ignore", "ignore", "ignore"],
      // A group of its own, which ends with what the tests started.
      detached: true,
    });
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      endGroup(child.pid);
    }, deadlineMs);
    const stop = (): void => endGroup(child.pid);
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
}

function withoutOwnSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(?:CAIRN_|TS_|TAILSCALE_)/.test(name)));
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
      existsSync(join(root, path)) && /\.tsx?$/.test(path)
        ? [path]
        : [...new Bun.Glob(`${path.replace(/\/+$/, "")}/**/*.{ts,tsx}`).scanSync({ cwd: root })],
    )
    .sort();
}
