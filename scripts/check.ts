// npm run check: everything that can be checked without running the product. Each check is a line of the table.
// The slowest one runs beside the others: Go vet compiles all packages when Go's cache is cold.

import { dirname, join } from "node:path";
import { checkArrows } from "./check-arrows.ts";
import { checkDocs } from "./check-docs.ts";
import { checkTests } from "./check-tests.ts";
import { finished } from "./finished.ts";
import { checkGenerated } from "./generate.ts";

const root = dirname(import.meta.dir);
/** A tool that takes longer is ended. Go vet with a cold cache takes minutes on a busy machine. */
const LIMIT_MS = 600_000;

interface Check {
  name: string;
  /** The problems found, none for a good tree; `skipped` says why it could not be looked at. */
  run: () => Promise<string[] | { skipped: string }>;
  /** It starts before the others and runs beside them. */
  beside?: boolean;
}

const CHECKS: readonly Check[] = [
  {
    name: "format and lint (biome)",
    run: () => tool([bin("biome"), "ci", "--colors=off", "--max-diagnostics=20", "."]),
  },
  { name: "types (tsc)", run: () => tool([bin("tsc"), "--noEmit", "--pretty", "false"]) },
  { name: "arrows between folders", run: async () => checkArrows(root) },
  { name: "first lines, doc comments, lengths, words, citations, links", run: async () => checkDocs(root) },
  { name: "tests: promises awaited, none alone, skips with a reason", run: async () => checkTests(root) },
  { name: "generated pages", run: async () => checkGenerated() },
  { name: "Go format (gofmt)", run: () => goTool(["gofmt", "-l", "native"], true) },
  { name: "Go vet", run: () => goTool(["go", "vet", "-C", "native", "-p=2", "./..."], false), beside: true },
];

/** Counts of a run, as scripts/test.ts adds them up. */
export interface Counts {
  passed: number;
  failed: number;
  /** The names of what failed; fewer than `failed` where a runner ends without naming one. */
  failures: string[];
  skipped: { name: string; why: string }[];
}

/** Runs every check and writes a line for each, in the order of the table. */
export async function runChecks(write: (line: string) => void = console.log): Promise<Counts> {
  const counts: Counts = { passed: 0, failed: 0, failures: [], skipped: [] };
  const beside = new Map(CHECKS.filter((check) => check.beside === true).map((check) => [check, timed(check)]));
  for (const check of CHECKS) {
    const { result, took } = await (beside.get(check) ?? timed(check));
    if (!Array.isArray(result)) {
      counts.skipped.push({ name: `check: ${check.name}`, why: result.skipped });
      write(`skip  ${check.name}: ${result.skipped}`);
    } else if (result.length === 0) {
      counts.passed += 1;
      write(`ok    ${check.name} (${took})`);
    } else {
      counts.failed += 1;
      counts.failures.push(`check: ${check.name}`);
      write(`FAIL  ${check.name} (${took})\n${result.map((line) => `      ${line}`).join("\n")}`);
    }
  }
  return counts;
}

async function timed({ run }: Check): Promise<{ result: string[] | { skipped: string }; took: string }> {
  const started = performance.now();
  const result = await run().catch((error: unknown) => [
    error instanceof Error ? (error.stack ?? error.message) : String(error),
  ]);
  return { result, took: `${((performance.now() - started) / 1000).toFixed(1)} s` };
}

function bin(name: string): string {
  return join(root, "node_modules", ".bin", name);
}

/** A program that says by its exit code whether all is well; with `silent`, any output is a problem too. */
async function tool(cmd: string[], silent = false): Promise<string[]> {
  const child = Bun.spawn({
    cmd,
    cwd: root,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: LIMIT_MS,
    env: { ...process.env, GOFLAGS: "-buildvcs=false", GOTOOLCHAIN: "local" },
  });
  const { out, err, code } = await finished(child);
  if (code === 0 && !(silent && out.trim() !== "")) return [];
  const lines = `${out}${err}`.split("\n").filter((line) => line.trim() !== "");
  return lines.length === 0 ? [`${cmd.join(" ")} ended with ${code}`] : lines.slice(0, 60);
}

async function goTool(cmd: string[], silent: boolean): Promise<string[] | { skipped: string }> {
  if (Bun.which("go") === null) return { skipped: "Go is not installed" };
  return tool(cmd, silent);
}

if (import.meta.main) {
  const { failed } = await runChecks();
  process.exit(failed === 0 ? 0 : 1);
}
