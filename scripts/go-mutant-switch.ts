// Builds the tests of a Go package once, with all mutants of its sources inside: a run switches one on by its number.
// native/cmd/mutants finds the place of each switch. What has none, or no such type, is built alone or not at all.

import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";
import { type Mutant, mutantsOf } from "./mutate-lines.ts";
import { testEnvironment } from "./test-environment.ts";

const tool = join(import.meta.dir, "../native");
/** So many builds may fail before the package itself is at fault: each names the lines that do not compile. */
const MAX_BUILDS = 6;
const state = z.object({ is: z.enum(["switched", "syntax", "alone"]), first: z.number(), last: z.number() });
const replies = z.array(z.object({ source: z.string(), states: z.record(z.string(), state) }));

/** The environment variable that switches a mutant on. */
export const MUTANT = "CAIRN_MUTANT";
const SWITCH = `

func mutantOn(id int) bool { return id == mutantChosen }

func mutantPick[T any](id int, changed, usual T) T {
	if mutantOn(id) {
		return changed
	}
	return usual
}

var mutantChosen, _ = strconv.Atoi(os.Getenv("${MUTANT}"))
`;

/** What became of a mutant: the number that switches it on, or whether it compiles is known by a build of its own. */
export type Switched = number | "alone" | "no build";

interface Placed {
  id: number;
  file: string;
  mutant: Mutant;
  state: Switched;
  /** The lines of what is switched. */
  first: number;
  last: number;
}

/** The mutants of all sources of a package, by source and place. */
export class GoMutantSwitch {
  readonly #placed: ReadonlyMap<string, Placed>;

  private constructor(placed: ReadonlyMap<string, Placed>) {
    this.#placed = placed;
  }

  /**
   * Builds `program` in the folder of a package; `flags` are those of its tests. The sources are as they were
   * afterwards. Throws if the package does not compile.
   */
  static async build(folder: string, flags: readonly string[], program: string): Promise<GoMutantSwitch> {
    const files = [...new Bun.Glob("*.go").scanSync({ cwd: folder })].filter((name) => !name.endsWith("_test.go"));
    const sources = new Map(files.sort().map((file) => [file, readFileSync(join(folder, file), "utf8")]));
    let id = 0;
    const all: Placed[] = [...sources].flatMap(([file, source]) =>
      mutantsOf(source, "Go").map((mutant) => ({ id: ++id, file, mutant, state: id, first: 0, last: 0 })),
    );
    const name = /^package (\w+)/m.exec([...sources.values()][0] ?? "")?.[1];
    const added = join(folder, "mutants_switch.go");
    try {
      writeFileSync(added, `package ${name}\n\nimport (\n\t"os"\n\t"strconv"\n)${SWITCH}`);
      for (let builds = 1; ; builds += 1) {
        writeSwitched(folder, sources, all);
        const output = await goTest(folder, [...flags, "-gcflags=-e", "-o", program]);
        if (output === undefined) break;
        if (builds === MAX_BUILDS || !leaveOut(all, output))
          throw new Error(`go test -c fails in ${folder}: ${output}`);
      }
    } finally {
      for (const [file, source] of sources) writeFileSync(join(folder, file), source);
      await Bun.file(added).delete();
    }
    return new GoMutantSwitch(new Map(all.map((each) => [keyOf(each.file, each.mutant), each])));
  }

  /** Returns what became of a mutant of a source. */
  of(source: string, mutant: Mutant): Switched {
    return this.#placed.get(keyOf(basename(source), mutant))?.state ?? "alone";
  }
}

function keyOf(file: string, { at, length, source }: Mutant): string {
  return `${file}:${at}:${length}:${source.length}:${source.slice(at, at + length)}`;
}

/** Writes each source with its mutants that are to be switched, and notes those that cannot be. */
function writeSwitched(folder: string, sources: ReadonlyMap<string, string>, all: readonly Placed[]): void {
  const asked = [...sources].map(([file, source]) => {
    const bytes = (text: string) => Buffer.byteLength(text);
    const switched = all.filter((each) => each.file === file && typeof each.state === "number");
    const changes = switched.map(({ id, mutant: { at, length, source: changed } }) => ({
      id,
      at: bytes(source.slice(0, at)),
      length: bytes(source.slice(at, at + length)),
      to: changed.slice(at, at + length + changed.length - source.length),
    }));
    return { source, changes };
  });
  const run = Bun.spawnSync({
    cmd: ["go", "run", "-C", tool, "-mod=readonly", "./cmd/mutants"],
    env: { ...process.env, GOTOOLCHAIN: "local" },
    stdin: Buffer.from(JSON.stringify(asked)),
  });
  if (run.exitCode !== 0) throw new Error(`native/cmd/mutants fails: ${run.stderr.toString()}`);
  for (const [index, { source, states }] of replies.parse(JSON.parse(run.stdout.toString())).entries()) {
    writeFileSync(join(folder, [...sources.keys()][index] ?? ""), source);
    for (const each of all) {
      const found = states[each.id];
      if (found === undefined) continue;
      each.state = found.is === "switched" ? each.id : found.is === "syntax" ? "no build" : "alone";
      each.first = found.first;
      each.last = found.last;
    }
  }
}

/** Leaves out the mutants on the lines that the compiler names, and reports whether there were any. */
function leaveOut(all: readonly Placed[], output: string): boolean {
  let isAny = false;
  for (const [, file, line] of output.matchAll(/^(?:\S*\/)?(\w+\.go):(\d+):/gm)) {
    for (const each of all) {
      if (each.file !== file || typeof each.state !== "number") continue;
      if (Number(line) < each.first || each.last < Number(line)) continue;
      each.state = "alone";
      isAny = true;
    }
  }
  return isAny;
}

/** Builds the tests of a package; returns what the compiler says if that fails. */
async function goTest(folder: string, flags: readonly string[]): Promise<string | undefined> {
  const child = Bun.spawn({
    cmd: ["go", "test", "-c", "-vet=off", ...flags, "."],
    cwd: folder,
    env: { ...testEnvironment(), GOFLAGS: "-buildvcs=false -mod=readonly", GOTOOLCHAIN: "local" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const output = await new Response(child.stderr).text();
  return (await child.exited) === 0 ? undefined : output;
}
