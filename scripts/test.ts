// npm test: the checks and every test there is, with what they need built first. `npm test -- unit go` runs parts of it.
// The last line is always "N passed, N failed, N skipped", summed over all runners; what was skipped is named with the reason.

import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Counts, runChecks } from "./check.ts";
import { BuildError, ensureNative } from "./native.ts";
import { host, planFor } from "./targets.ts";
import { readGoEvents, readJunit, slowestFiles } from "./test-results.ts";

const root = dirname(import.meta.dir);
const reports = join(root, "build", "test");
const BUN_TEST_MS = 60_000;
/** So many files of a part are named with their time. */
const SLOWEST = 5;

interface Part {
  name: string;
  /** What has to be built before, in words for the log. */
  needs: "nothing" | "native" | "executable";
  run: () => Promise<Counts>;
}

const PARTS: readonly Part[] = [
  { name: "check", needs: "nothing", run: runChecks },
  { name: "go", needs: "nothing", run: runGo },
  { name: "unit", needs: "native", run: () => runBun("unit") },
  { name: "contract", needs: "native", run: () => runBun("contract") },
  { name: "system", needs: "native", run: () => runBun("system") },
  { name: "chaos", needs: "native", run: () => runBun("chaos") },
  { name: "binary", needs: "executable", run: () => runBun("binary") },
  { name: "conformance", needs: "executable", run: runConformance },
];

const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => !PARTS.some((part) => part.name === name));
if (unknown !== undefined) {
  console.error(`cairn: no part "${unknown}"; there are ${PARTS.map((part) => part.name).join(", ")}`);
  process.exit(2);
}

const total: Counts = { passed: 0, failed: 0, skipped: [] };
for (const part of PARTS.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
  console.log(`\n== ${part.name}`);
  const started = performance.now();
  const counts = await runPart(part);
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped.push(...counts.skipped);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(
    `== ${part.name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped.length} skipped in ${seconds} s`,
  );
}
if (total.skipped.length > 0) {
  console.log("\nSkipped:");
  for (const { name, why } of total.skipped) console.log(`  ${name}: ${why}`);
}
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped.length} skipped`);
process.exit(total.failed === 0 ? 0 : 1);

/** Builds what the part needs and runs it; whatever breaks counts as one failed test. */
async function runPart(part: Part): Promise<Counts> {
  try {
    if (part.needs !== "nothing") buildNative();
    if (part.needs === "executable") await buildExecutable();
    return await part.run();
  } catch (error) {
    console.error(
      `FAIL  ${part.name}: ${error instanceof BuildError ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
    return { passed: 0, failed: 1, skipped: [] };
  }
}

function buildNative(): void {
  if (host === undefined)
    throw new BuildError(`this machine (${process.platform}-${process.arch}) is none that Cairn is built for`);
  const plan = planFor(host);
  if ("missing" in plan) throw new BuildError(`the tests need ${plan.missing}`);
  for (const part of ["library", "sidecar", "tailnet", "raftnode"] as const) ensureNative(host, part);
}

async function buildExecutable(): Promise<void> {
  const child = Bun.spawn({
    cmd: [process.execPath, join(root, "scripts", "build.ts"), "--target", host?.name ?? ""],
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if ((await child.exited) !== 0) throw new BuildError("scripts/build.ts failed; what it said stands above");
}

/** One `bun test` over a folder: each file in its own global object, results by its junit report. */
async function runBun(folder: string): Promise<Counts> {
  const files = [...new Bun.Glob(`test/${folder}/**/*.test.{ts,tsx}`).scanSync({ cwd: root })];
  if (files.length === 0) return { passed: 0, failed: 0, skipped: [] };
  mkdirSync(reports, { recursive: true });
  const report = join(reports, `${folder}.xml`);
  rmSync(report, { force: true });
  const child = Bun.spawn({
    cmd: [
      process.execPath,
      "test",
      "--isolate",
      `--timeout=${BUN_TEST_MS}`,
      "--reporter=junit",
      `--reporter-outfile=${report}`,
      `./test/${folder}/`,
    ],
    cwd: root,
    // Keys of the person who runs the tests must never reach a node of a test.
    env: Object.fromEntries(
      Object.entries(process.env).filter(
        ([name]) => !/^(TS_|TAILSCALE_|CAIRN_|XDG_RUNTIME_DIR|STATE_DIRECTORY|CREDENTIALS_DIRECTORY)/.test(name),
      ),
    ),
    stdio: ["ignore", "inherit", "inherit"],
  });
  const code = await child.exited;
  const xml = existsSync(report) ? await Bun.file(report).text() : "";
  const counts = readJunit(xml);
  const slow = slowestFiles(xml, SLOWEST).map(({ file, seconds }) => `${file} ${seconds.toFixed(0)} s`);
  console.log(`slowest: ${slow.join(", ")}`);
  // A file that cannot be loaded fails the run without being a test of the report.
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  return counts;
}

async function runGo(): Promise<Counts> {
  if (Bun.which("go") === null) throw new BuildError("the tests need Go 1.26 or newer: https://go.dev/dl/");
  const productTags = (await Bun.file(join(root, "native", "tags.txt")).text()).trim();
  // The Go half is tested as it is shipped; `cairntest` adds the planted panics. The test tailnet is a whole one, without those tags.
  const core = await runGoPackages(["-tags", `${productTags},cairntest`, "./core/..."]);
  const tailnet = await runGoPackages(["./tailnettest/...", "./cmd/tailnet/...", "./raftlog/..."]);
  return {
    passed: core.passed + tailnet.passed,
    failed: core.failed + tailnet.failed,
    skipped: [...core.skipped, ...tailnet.skipped],
  };
}

async function runGoPackages(args: readonly string[]): Promise<Counts> {
  const child = Bun.spawn({
    cmd: ["go", "test", "-C", "native", "-json", "-mod=readonly", "-p=2", "-timeout=15m", ...args],
    cwd: root,
    env: { ...process.env, GOFLAGS: "-buildvcs=false", GOTOOLCHAIN: "local" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const results = readGoEvents(await new Response(child.stdout).text());
  for (const line of results.lines) console.log(line);
  if ((await child.exited) !== 0 && results.counts.failed === 0) results.counts.failed = 1;
  return results.counts;
}

/** The official MCP suite against the executable; it counts its own checks. */
async function runConformance(): Promise<Counts> {
  const script = join(root, "test", "conformance", "run.ts");
  const child = Bun.spawn({
    cmd: [process.execPath, script, join(root, "dist", `cairn-${host?.name ?? ""}`)],
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const output = await new Response(child.stdout).text();
  process.stdout.write(output);
  const counts: Counts = { passed: 0, failed: 0, skipped: [] };
  for (const [, passed, failed] of output.matchAll(/^conformance \S+: (\d+) passed, (\d+) failed$/gm)) {
    counts.passed += Number(passed);
    counts.failed += Number(failed);
  }
  const why = /^conformance: skipped, (.*)$/m.exec(output)?.[1];
  if (why !== undefined) counts.skipped.push({ name: "conformance", why });
  if ((await child.exited) !== 0 && counts.failed === 0) counts.failed = 1;
  return counts;
}
