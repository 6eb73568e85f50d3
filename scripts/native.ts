// Builds the Go half into build/native/<target>/ when it is missing or older than its sources, and prints what it does.
// A hash over sources, compiler versions and flags decides, so a second run is instant. As a script: builds everything
// for this machine.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { host, planFor, type Target } from "./targets.ts";

const root = dirname(import.meta.dir);
/** The folder of the Go half. */
export const native = join(root, "native");

export type Part = "library" | "sidecar" | "tailnet" | "raftnode" | "powerdisk" | "hello";

/** A problem that the user can fix; printed without a stack. */
export class BuildError extends Error {
  /** Exit code of the script: 2 for words that it does not know. */
  readonly exit: number;

  constructor(message: string, exit = 1) {
    super(message);
    this.exit = exit;
  }
}

export interface Versions {
  go: string;
  tailscale: string;
}

/** Returns where a part of this target is, built or not. */
export function nativePath(target: Target, part: Part): string {
  const library = target.goos === "darwin" ? "libcairn.dylib" : "libcairn.so";
  const name = part === "library" ? library : part === "sidecar" ? "cairn-sidecar" : part;
  return join(root, "build", "native", target.name, name);
}

/**
 * Returns the flags by which the tests of a Go package are built. The Go half is tested with the tags that it is
 * shipped with; `cairntest` adds the planted panics. The others are built whole, without those tags.
 */
export function goTestFlags(folder: string): string[] {
  return folder === "native/core" ? ["-tags", `${productTags()},cairntest`] : [];
}

/** Returns the tags that the product is built with, separated by commas. */
function productTags(): string {
  return readFileSync(join(native, "tags.txt"), "utf8")
    .trim()
    .split(/[\s,]+/)
    .join(",");
}

/** Returns the versions of the toolchain and of tailscale.com; throws a BuildError when Go is missing or too old. */
export function nativeVersions(): Versions {
  const tailscale = /^\s*(?:require\s+)?tailscale\.com v(\S+)/m.exec(readFileSync(join(native, "go.mod"), "utf8"))?.[1];
  const wanted = /^go (\S+)/m.exec(readFileSync(join(native, "go.mod"), "utf8"))?.[1] ?? "1.26";
  if (Bun.which("go") === null)
    throw new BuildError(`Go ${wanted} or newer is needed and "go" is not in PATH: https://go.dev/dl/`);
  const go = run(["go", "env", "GOVERSION"], { GOTOOLCHAIN: "local" }).trim();
  if (Bun.semver.order(go.replace(/^go/, ""), wanted) < 0)
    throw new BuildError(`Go ${wanted} or newer is needed, this is ${go}`);
  return { go, tailscale: tailscale ?? "unknown" };
}

/** Builds the parts that tests and the bench start, each when it is not up to date. */
export function ensureHostParts(target: Target): void {
  for (const part of ["library", "sidecar", "tailnet", "raftnode"] as const) ensureNative(target, part);
  if (target.goos === "linux") ensureNative(target, "powerdisk");
}

/** Builds the part when it is not up to date, and returns its path. */
export function ensureNative(target: Target, part: Part, versions = nativeVersions()): string {
  const path = nativePath(target, part);
  const command = buildCommand(target, part);
  const inputs = createHash("sha256").update(JSON.stringify([versions.go, command]));
  for (const file of sources(part)) inputs.update(`\0${file}\0`).update(readFileSync(join(native, file)));
  if (command.compiler !== undefined) inputs.update(run([command.compiler, "--version"]));
  const stamp = inputs.digest("hex");
  const versionsFile = join(mkdir(join(root, "build", "native")), "versions.json");
  // Written only when it changes: several tests build at once, and others read it at the same time.
  if (readText(versionsFile) !== JSON.stringify(versions)) writeFileSync(versionsFile, JSON.stringify(versions));
  if (readText(`${path}.stamp`) === stamp && statSync(path, { throwIfNoEntry: false }) !== undefined) return path;

  console.error(`cairn: building ${part} for ${target.name} (${versions.go}, tailscale.com ${versions.tailscale}) …`);
  const started = performance.now();
  mkdir(dirname(path));
  // Built beside the old file and renamed, so that a process which runs the old one keeps it.
  const temporary = join(dirname(path), `new-${process.pid}-${part}`);
  try {
    const built = Bun.spawnSync({
      cmd: ["go", "build", "-C", native, ...command.args, "-o", temporary, `./cmd/${folderOf(part)}`],
      env: { ...process.env, ...command.env, GOTOOLCHAIN: "local" },
      stdout: "inherit",
      stderr: "inherit",
    });
    if (built.exitCode !== 0)
      throw new BuildError(`building ${part} for ${target.name} failed; the output of Go is above`);
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
    rmSync(`${temporary}.h`, { force: true });
  }
  writeFileSync(`${path}.stamp`, stamp);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.error(`cairn: ${path.slice(root.length + 1)} ${megabytes(statSync(path).size)} in ${seconds} s`);
  return path;
}

/** Returns "20.3 MB" (millions of bytes). */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Arguments and environment of `go build`, and the C compiler that it uses. */
export interface Command {
  args: string[];
  env: Record<string, string>;
  compiler?: string;
}

/** Returns the release of tailscale.com that go.mod pins, such as 1.102.3. */
function tailscaleRelease(): string {
  const pinned = /^\s*(?:require )?tailscale\.com v([0-9.]+)$/m.exec(readFileSync(join(native, "go.mod"), "utf8"))?.[1];
  if (pinned === undefined) throw new BuildError("native/go.mod pins no release of tailscale.com");
  return pinned;
}

/** Returns the arguments and the environment with which `go build` makes a part. Throws a BuildError. */
export function buildCommand(target: Target, part: Part): Command {
  // Without these stamps tailscale reports "ERR-BuildInfo" as its version to the control server.
  const release = tailscaleRelease();
  const stamps = ["longStamp", "shortStamp"].map((name) => `-X tailscale.com/version.${name}=${release}`).join(" ");
  const args = ["-trimpath", "-mod=readonly", "-buildvcs=false", `-ldflags=-s -w -buildid= ${stamps}`];
  // The tool contains a control server, which the product's tags would remove. Its clients must open no TCP port of the
  // host.
  if (part === "tailnet") args.push("-tags=ts_omit_peerapiserver");
  else args.push(`-tags=${productTags()}`);
  const env = { GOOS: target.goos, GOARCH: target.goarch };
  if (part !== "library") return { args, env: { ...env, CGO_ENABLED: "0" } };
  const plan = planFor(target);
  if ("missing" in plan) throw new BuildError(`the library for ${target.name} needs ${plan.missing}`);
  if (plan.compiler === undefined)
    throw new BuildError(`the library for ${target.name} can only be built on ${target.goos}`);
  return {
    args: [...args, "-buildmode=c-shared"],
    env: { ...env, CGO_ENABLED: "1", CC: plan.compiler },
    compiler: plan.compiler,
  };
}

function folderOf(part: Part): string {
  return part === "library" ? "lib" : part;
}

/**
 * Returns the Go sources that this part may depend on: everything but tests and other commands, and for the product
 * without the test tailnet and the disk of the tests.
 */
function sources(part: Part): string[] {
  // Two patterns, because Bun.Glob matches nothing with braces inside braces.
  const patterns = ["{go.mod,go.sum,tags.txt}", "**/*.{go,c,h,s}"];
  const found = patterns.flatMap((pattern) => [...new Bun.Glob(pattern).scanSync({ cwd: native })]);
  if (found.length === 0) throw new BuildError(`no Go sources in ${native}`);
  const needed = (file: string) => {
    if (file.endsWith("_test.go")) return false;
    if (file.startsWith("tailnettest/")) return part === "tailnet";
    if (file.startsWith("powerdisk/")) return part === "powerdisk";
    if (file.startsWith("eventgrpc/")) return part === "library" || part === "sidecar";
    if (file.startsWith("raftlog/loopback/")) return part === "raftnode";
    if (file.startsWith("raftlog/")) return part === "library" || part === "sidecar" || part === "raftnode";
    return !file.startsWith("cmd/") || file.startsWith(`cmd/${folderOf(part)}/`);
  };
  return found.filter(needed).sort();
}

function run(cmd: string[], env: Record<string, string> = {}): string {
  const result = Bun.spawnSync({ cmd, env: { ...process.env, ...env }, stderr: "inherit" });
  if (result.exitCode !== 0) throw new BuildError(`"${cmd.join(" ")}" ended with ${result.exitCode}`);
  return result.stdout.toString();
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function mkdir(path: string): string {
  mkdirSync(path, { recursive: true });
  return path;
}

if (import.meta.main) {
  try {
    if (host === undefined)
      throw new BuildError(`this machine (${process.platform}-${process.arch}) is none that Cairn is built for`);
    const versions = nativeVersions();
    for (const part of ["library", "sidecar", "tailnet"] as const) {
      const path = ensureNative(host, part, versions);
      console.error(`cairn: ${path.slice(root.length + 1)} ${megabytes(statSync(path).size)}`);
    }
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(`cairn: ${error.message}`);
    process.exit(1);
  }
}
