// Which lines of the sources each test file runs, by Bun's coverage. What was found is kept in a folder and holds while
// the texts of the test and of the source do; changes of other files may make it stale, and deleting it is safe.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";

/** The lines of one source, from 1: those that coverage knows, and those of them that ran. */
export interface LinesRun {
  readonly known: ReadonlySet<number>;
  readonly ran: ReadonlySet<number>;
}

/** Runs one test file with these flags of `bun test`, and reports whether it passed. */
export type CoverageRun = (test: string, flags: readonly string[]) => Promise<boolean>;

const kept = z.strictObject({
  test: z.string(),
  sources: z.record(
    z.string(),
    z.strictObject({ text: z.string(), known: z.array(z.number()), ran: z.array(z.number()) }),
  ),
});
type Kept = z.infer<typeof kept>;

/** Tests that run at once. */
const ABREAST = 2;
const NONE: LinesRun = { known: new Set(), ran: new Set() };

/** What the tests of a tree run of its sources. */
export class TestReach {
  readonly #root: string;
  readonly #folder: string;
  readonly #run: CoverageRun;

  constructor(root: string, folder: string, run: CoverageRun) {
    this.#root = root;
    this.#folder = folder;
    this.#run = run;
    mkdirSync(folder, { recursive: true });
  }

  /** Returns what each test runs of a source. Those that fail are left out. */
  async of(source: string, tests: readonly string[]): Promise<Map<string, LinesRun>> {
    const found = new Map<string, LinesRun>();
    const todo = [...tests];
    const work = async (): Promise<void> => {
      for (let test = todo.shift(); test !== undefined; test = todo.shift()) {
        const lines = this.#known(source, test) ?? (await this.#measure(source, test));
        if (lines !== undefined) found.set(test, lines);
      }
    };
    await Promise.all(Array.from({ length: ABREAST }, work));
    return found;
  }

  #known(source: string, test: string): LinesRun | undefined {
    const path = this.#pathOf(test);
    if (!existsSync(path)) return undefined;
    const { success, data } = kept.safeParse(JSON.parse(readFileSync(path, "utf8")));
    const lines = success && data.test === this.#digest(test) ? data.sources[source] : undefined;
    if (lines === undefined || lines.text !== this.#digest(source)) return undefined;
    return { known: new Set(lines.known), ran: new Set(lines.ran) };
  }

  async #measure(source: string, test: string): Promise<LinesRun | undefined> {
    const folder = `${this.#pathOf(test)}.coverage`;
    const report = join(folder, "lcov.info");
    try {
      const isGood = await this.#run(test, ["--coverage", "--coverage-reporter=lcov", `--coverage-dir=${folder}`]);
      if (!isGood) return undefined;
      // A test that never loads the source has no lines of it.
      const sources: Kept["sources"] = { [source]: { text: this.#digest(source), known: [], ran: [] } };
      for (const [path, lines] of linesOf(existsSync(report) ? readFileSync(report, "utf8") : "")) {
        if (!existsSync(join(this.#root, path))) continue;
        sources[path] = { text: this.#digest(path), known: [...lines.known], ran: [...lines.ran] };
      }
      const text = JSON.stringify({ test: this.#digest(test), sources } satisfies Kept);
      writeFileSync(`${folder}.json`, text);
      renameSync(`${folder}.json`, this.#pathOf(test));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    return this.#known(source, test) ?? NONE;
  }

  #pathOf(test: string): string {
    return join(this.#folder, `${basename(test)}-${createHash("sha256").update(test).digest("hex").slice(0, 8)}.json`);
  }

  #digest(path: string): string {
    return createHash("sha256")
      .update(readFileSync(join(this.#root, path)))
      .digest("hex")
      .slice(0, 16);
  }
}

/** Reads a report of coverage: `SF:` begins a source, and `DA:line,count` is a line of it. */
export function linesOf(report: string): Map<string, LinesRun> {
  const sources = new Map<string, LinesRun>();
  for (const part of report.split("end_of_record")) {
    const path = /^SF:(.+)$/m.exec(part)?.[1];
    if (path === undefined) continue;
    const lines = [...part.matchAll(/^DA:(\d+),(\d+)/gm)].map(([, line, count]) => ({ line: Number(line), count }));
    const ran = lines.filter(({ count }) => count !== "0");
    sources.set(path, { known: new Set(lines.map(({ line }) => line)), ran: new Set(ran.map(({ line }) => line)) });
  }
  return sources;
}

/**
 * Returns the tests that run a line, in their order. What no test's coverage knows, as the second line of a condition,
 * is run by those that run the nearest known line before it.
 */
export function testsOfLine(reach: ReadonlyMap<string, LinesRun>, tests: readonly string[], line: number): string[] {
  const known = new Set([...reach.values()].flatMap((lines) => [...lines.known]));
  let at = line;
  while (at > 0 && !known.has(at)) at -= 1;
  return tests.filter((test) => reach.get(test)?.ran.has(at) === true);
}
