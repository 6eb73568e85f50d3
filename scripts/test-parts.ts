// The parts of npm test: what each needs, whether it may run beside others, the time that is planned for it, and how it
// runs. scripts/test.ts chooses parts and adds up.

import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { ensureBundle } from "./bundle.ts";
import { type Counts, runChecks } from "./check.ts";
import { BuildError, ensureHostParts, goTestFlags } from "./native.ts";
import { runWatched } from "./run-watched.ts";
import { host, planFor } from "./targets.ts";
import { testEnvironment } from "./test-environment.ts";
import { addUp, type FileTime } from "./test-report.ts";
import { fileTimes, readGoEvents, readJunit } from "./test-results.ts";

const root = dirname(import.meta.dir);
const reports = join(root, "build", "test");
const BUN_TEST_MS = 60_000;
const NOTHING: Counts = { passed: 0, failed: 0, failures: [], skipped: [] };

/** What has to be built before a part runs; the executable contains the Go half. */
export type Need = "native" | "executable";

/** Where a part prints. */
export type Write = (text: string) => void;

/** What a part found, and how long its files took. */
export interface Outcome {
  counts: Counts;
  files: readonly FileTime[];
}

/** One part of the run. */
export interface Part {
  name: string;
  needs: readonly Need[];
  budgetSeconds: number;
  /** May run beside the other parts of this kind that are next to it. Parts that measure time run alone. */
  sideBySide?: boolean;
  /** `only` are the test files, or the folders of Go packages, to run; undefined for all. */
  run: (write: Write, only?: readonly string[]) => Promise<Outcome>;
}

/** In the order in which they run. A part that fails stops none of the others. */
export const PARTS: readonly Part[] = [
  { name: "check", needs: [], budgetSeconds: 240, sideBySide: true, run: check },
  { name: "unit", needs: ["native"], budgetSeconds: 330, sideBySide: true, run: bunTests("unit", ["--parallel=2"]) },
  { name: "go", needs: [], budgetSeconds: 240, run: goTests },
  { name: "contract", needs: ["native"], budgetSeconds: 200, run: bunTests("contract", ["--parallel=2"]) },
  { name: "system", needs: ["native"], budgetSeconds: 1_080, run: bunTests("system", ["--parallel=2"]) },
  { name: "chaos", needs: ["native"], budgetSeconds: 360, run: bunTests("chaos", ["--isolate"]) },
  { name: "binary", needs: ["native", "executable"], budgetSeconds: 240, run: bunTests("binary", ["--isolate"]) },
  { name: "conformance", needs: ["native", "executable"], budgetSeconds: 60, run: conformance },
];

/** Builds what parts need; throws a BuildError that says what is missing or failed. */
export async function build(need: Need): Promise<void> {
  if (host === undefined)
    throw new BuildError(`this machine (${process.platform}-${process.arch}) is none that Cairn is built for`);
  if (need === "native") {
    const plan = planFor(host);
    if ("missing" in plan) throw new BuildError(`the tests need ${plan.missing}`);
    ensureHostParts(host);
    await ensureBundle();
    return;
  }
  const cmd = [process.execPath, join(root, "scripts", "build.ts"), "--target", host.name];
  const child = Bun.spawn({ cmd, cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  if ((await child.exited) !== 0) throw new BuildError("scripts/build.ts failed; its output is above");
}

async function check(write: Write): Promise<Outcome> {
  return { counts: await runChecks((line) => write(`${line}\n`)), files: [] };
}

/** Returns the run of one `bun test` over a folder of test/; results are read from its junit report. */
function bunTests(folder: string, options: readonly string[]): Part["run"] {
  return async (write, only) => {
    const files = only ?? [...new Bun.Glob(`test/${folder}/**/*.test.{ts,tsx}`).scanSync({ cwd: root })];
    if (files.length === 0) return { counts: NOTHING, files: [] };
    mkdirSync(reports, { recursive: true });
    const report = join(reports, `${folder}.xml`);
    rmSync(report, { force: true });
    const paths = only === undefined ? [`./test/${folder}/`] : only.map((file) => `./${file}`);
    const junit = ["--reporter=junit", `--reporter-outfile=${report}`];
    const cmd = [process.execPath, "test", ...options, `--timeout=${BUN_TEST_MS}`, ...junit, ...paths];
    const code = await run(cmd, write, testEnvironment());
    const xml = existsSync(report) ? await Bun.file(report).text() : "";
    const counts = readJunit(xml);
    // A file that cannot be loaded fails the run without being a test of the report.
    if (code !== 0 && counts.failed === 0) counts.failed = 1;
    return { counts, files: fileTimes(xml) };
  };
}

async function run(cmd: string[], write: Write, env: NodeJS.ProcessEnv): Promise<number> {
  return runWatched(cmd, { cwd: root, env, write });
}

async function goTests(write: Write, only?: readonly string[]): Promise<Outcome> {
  if (Bun.which("go") === null) throw new BuildError("the tests need Go 1.26 or newer: https://go.dev/dl/");
  const all = ["native/core", "native/eventgrpc", "native/tailnettest", "native/raftlog", "native/powerdisk"];
  const folders = all.filter((folder) => only === undefined || only.includes(folder));
  const counts: Counts[] = [];
  for (const [, alike] of Map.groupBy(folders, (folder) => goTestFlags(folder).join(" ")))
    counts.push(await goPackageTests(write, goTestFlags(alike[0] ?? ""), alike));
  return { counts: addUp(counts), files: [] };
}

async function goPackageTests(write: Write, flags: readonly string[], folders: readonly string[]): Promise<Counts> {
  const packages = folders.map((folder) => `./${folder.slice("native/".length)}/...`);
  const child = Bun.spawn({
    cmd: ["go", "test", "-C", "native", "-json", "-mod=readonly", "-p=2", "-timeout=15m", ...flags, ...packages],
    cwd: root,
    env: { ...process.env, GOFLAGS: "-buildvcs=false", GOTOOLCHAIN: "local" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [events, errors] = await Promise.all([child.stdout, child.stderr].map((stream) => new Response(stream).text()));
  write(errors ?? "");
  const results = readGoEvents(events ?? "");
  for (const line of results.lines) write(`${line}\n`);
  if ((await child.exited) !== 0 && results.counts.failed === 0) results.counts.failed = 1;
  return results.counts;
}

/** The official MCP suite against the executable; it counts its own checks. */
async function conformance(write: Write): Promise<Outcome> {
  const script = join(root, "test", "conformance", "run.ts");
  let output = "";
  const cmd = [process.execPath, script, join(root, "dist", `cairn-${host?.name ?? ""}`)];
  const code = await run(
    cmd,
    (text) => {
      output += text;
      write(text);
    },
    process.env,
  );
  const counts: Counts = { passed: 0, failed: 0, failures: [], skipped: [] };
  for (const [, passed, failed] of output.matchAll(/^conformance \S+: (\d+) passed, (\d+) failed$/gm)) {
    counts.passed += Number(passed);
    counts.failed += Number(failed);
  }
  const why = /^conformance: skipped, (.*)$/m.exec(output)?.[1];
  if (why !== undefined) counts.skipped.push({ name: "conformance", why });
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  return { counts, files: [] };
}
