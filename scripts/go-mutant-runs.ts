// Runs the tests of one Go package on mutants of its sources, in a copy of the tree. A mutant is judged by the tests
// that reach its line on the sources as they are, the shortest first. One program has most mutants, switched off.

import { readFileSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { GoMutantSwitch, MUTANT } from "./go-mutant-switch.ts";
import { type Judge, lateMs, runTests, SPARE_MS, type Verdict, withMutant } from "./mutant-runs.ts";
import type { Mutant } from "./mutate-lines.ts";
import { goTestFlags } from "./native.ts";

const BUILD_MS = 600_000;
const BASE_MS = 300_000;
/** So many run first: most mutants end there. */
const FIRST = 8;
/** The program of all mutants, and that of one. */
const SWITCHED = "switched.test";
const ALONE = "mutant.test";
const FLAGS = { GOFLAGS: "-buildvcs=false -mod=readonly", GOTOOLCHAIN: "local" };

/** Lines of a source that run together, and whether the test reached them. */
interface Block {
  first: number;
  last: number;
  isReached: boolean;
}

interface GoTest {
  name: string;
  usualMs: number;
  /** The blocks of each file, by its name. */
  blocks: ReadonlyMap<string, readonly Block[]>;
}

/** The tests of one package of a copy. */
export class GoMutantRuns {
  readonly #folder: string;
  readonly #flags: readonly string[];
  readonly #tests: readonly GoTest[];

  readonly #switched: GoMutantSwitch;
  readonly #spareMs: number;

  private constructor(
    folder: string,
    flags: readonly string[],
    switched: GoMutantSwitch,
    tests: readonly GoTest[],
    spareMs: number,
  ) {
    this.#folder = folder;
    this.#switched = switched;
    this.#flags = flags;
    this.#tests = tests;
    this.#spareMs = spareMs;
  }

  /** Runs each test of a package once. Also returns the tests that fail and are left out; throws if it has no build. */
  static async begin(
    root: string,
    folder: string,
    spareMs = SPARE_MS,
  ): Promise<{ runs: GoMutantRuns; failing: string[] }> {
    const path = join(root, folder);
    const flags = goTestFlags(folder);
    const switched = await GoMutantSwitch.build(path, [...flags, "-cover"], SWITCHED);
    const sources = [...new Bun.Glob("*_test.go").scanSync({ cwd: path })].sort();
    const names = sources.flatMap((name) =>
      [...readFileSync(join(path, name), "utf8").matchAll(/^func (Test\w+)\(t \*testing\.T\)/gm)].flatMap(
        ([, test]) => test ?? [],
      ),
    );
    const tests: GoTest[] = [];
    const failing: string[] = [];
    const profile = join(path, "cover.out");
    for (const name of names) {
      const startedMs = performance.now();
      const verdict = await runTests(command(SWITCHED, [name], [`-test.coverprofile=${profile}`]), path, {}, BASE_MS);
      const usualMs = performance.now() - startedMs;
      if (verdict === "survived") tests.push({ name, usualMs, blocks: blocksOf(readFileSync(profile, "utf8")) });
      else failing.push(name);
    }
    tests.sort((one, other) => one.usualMs - other.usualMs);
    return { runs: new GoMutantRuns(path, flags, switched, tests, spareMs), failing };
  }

  /** Returns the judge of mutants of a source of the package. */
  judge(source: string): Judge {
    return async (mutant) => {
      const state = this.#switched.of(source, mutant);
      if (state === "no build") return state;
      if (state !== "alone") return await this.#judge(source, mutant, SWITCHED, { [MUTANT]: String(state) });
      return await withMutant(join(this.#folder, basename(source)), mutant, async () =>
        (await build(this.#folder, this.#flags)) ? await this.#judge(source, mutant, ALONE, {}) : "no build",
      );
    };
  }

  async #judge(
    source: string,
    { line, before }: Mutant,
    program: string,
    env: Readonly<Record<string, string>>,
  ): Promise<Verdict> {
    const reaching = this.#tests.filter(({ blocks }) => {
      const ofFile = blocks.get(basename(source)) ?? [];
      const around = ofFile.filter(({ first, last }) => first <= line && line <= last);
      // What follows a function literal is in no block, or in that of the literal, and the condition of a case is in
      // that of its body: any test of the file may reach it.
      const isElsewhere = around.length === 0 || /^(?:\}|case\b)/.test(before);
      return (isElsewhere ? ofFile : around).some(({ isReached }) => isReached);
    });
    for (const step of [reaching.slice(0, FIRST), reaching.slice(FIRST)]) {
      if (step.length === 0) continue;
      const usualMs = step.reduce((sum, test) => sum + test.usualMs, 0);
      const names = step.map(({ name }) => name);
      const verdict = await runTests(
        command(program, names, ["-test.failfast"]),
        this.#folder,
        env,
        lateMs(usualMs, this.#spareMs),
      );
      if (verdict !== "survived") return verdict;
    }
    return "survived";
  }
}

function command(program: string, names: readonly string[], flags: readonly string[]): string[] {
  return [`./${program}`, `-test.run=^(?:${names.join("|")})$`, ...flags];
}

/** Builds the tests of a package, ALONE in its folder, and reports whether that was possible. */
async function build(folder: string, flags: readonly string[]): Promise<boolean> {
  rmSync(join(folder, ALONE), { force: true });
  const cmd = ["go", "test", "-c", "-vet=off", ...flags, "-o", ALONE, "."];
  return (await runTests(cmd, folder, FLAGS, BUILD_MS)) === "survived";
}

/** Reads a profile: lines such as `cairn.internal/native/raftlog/acks.go:32.18,36.3 2 1`, the count of runs last. */
function blocksOf(profile: string): GoTest["blocks"] {
  const blocks = new Map<string, Block[]>();
  for (const [, path = "", first, last, count] of profile.matchAll(/^(.+):(\d+)\.\d+,(\d+)\.\d+ \d+ (\d+)$/gm)) {
    const ofFile = blocks.get(basename(path)) ?? [];
    ofFile.push({ first: Number(first), last: Number(last), isReached: count !== "0" });
    blocks.set(basename(path), ofFile);
  }
  return blocks;
}
