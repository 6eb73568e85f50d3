// A copy of the source tree with some text replaced, for nodes of another build: another level, a bug in a command, a
// log that is truncated every few seconds. So no product build needs a switch for it.

import { createHash } from "node:crypto";
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ensureNative } from "../../scripts/native.ts";
import { host, type Target } from "../../scripts/targets.ts";

const root = dirname(dirname(import.meta.dir));

/**
 * A replacement in one file: text that must occur there exactly once, and the new text. Files under native/ are built
 * into the Go half.
 */
export interface Alteration {
  file: string;
  from: string;
  to: string;
}

/** A raft log that is truncated to 20 entries every two seconds, and at once after a copy was sent. */
export const SHORT_LOG: readonly Alteration[] = [
  {
    file: "native/raftlog/profiles.go",
    from: "\treturn config\n",
    to: "\tconfig.SnapshotInterval, config.SnapshotThreshold, config.TrailingLogs = 2*time.Second, 20, 20\n\treturn config\n",
  },
  {
    file: "native/raftlog/loghold.go",
    from: "holdAfterCopy = 10 * time.Minute",
    to: "holdAfterCopy = 100 * time.Millisecond",
  },
];

let shortLog: Promise<string[]> | undefined;

/** Returns the command that runs `cairn` with such a log; built once. */
export function shortLogCairn(): Promise<string[]> {
  shortLog ??= alteredCairn(SHORT_LOG);
  return shortLog;
}

/**
 * Makes the tree under build/chaos/ and returns the command that runs `cairn` from it. With changes of native/ the
 * first build takes half a minute.
 */
export async function alteredCairn(changes: readonly Alteration[]): Promise<string[]> {
  const target = targetHere();
  const folder = folderFor(changes);
  rmSync(join(folder, "src"), { recursive: true, force: true });
  for (const part of ["src", "scripts"]) cpSync(join(root, part), join(folder, part), { recursive: true });
  for (const file of ["package.json", "tsconfig.json"]) copyFileSync(join(root, file), join(folder, file));
  if (!existsSync(join(folder, "node_modules"))) symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const inGo = changes.filter(({ file }) => file.startsWith("native/"));
  for (const { file, from, to } of changes.filter((change) => !inGo.includes(change)))
    writeFileSync(join(folder, file), replaced(join(folder, file), from, to));
  await alteredPart("library", folder, join(folder, "build", "native", target.name, "libcairn.so"), inGo);
  copyFileSync(join(root, "build", "native", "versions.json"), join(folder, "build", "native", "versions.json"));
  return [process.execPath, join(folder, "src", "main.ts")];
}

/** Builds the driver of raft members (test/kit/raft.ts) with changes of native/, and returns its path. */
export async function alteredDriver(changes: readonly Alteration[]): Promise<string> {
  const folder = folderFor(changes);
  const path = join(folder, "raftnode");
  await alteredPart("raftnode", folder, path, changes);
  return path;
}

function targetHere(): Target {
  if (host === undefined) throw new Error(`cairn is not built for ${process.platform}-${process.arch}`);
  return host;
}

function folderFor(changes: readonly Alteration[]): string {
  const name = createHash("sha256").update(JSON.stringify(changes)).digest("hex").slice(0, 12);
  const folder = join(root, "build", "chaos", `tree-${name}`);
  mkdirSync(folder, { recursive: true });
  return folder;
}

type Part = "library" | "raftnode";

/** Builds a part of the Go half as `path`, with Go's own overlay where it is altered. */
async function alteredPart(part: Part, folder: string, path: string, changes: readonly Alteration[]): Promise<void> {
  const plain = ensureNative(targetHere(), part);
  mkdirSync(dirname(path), { recursive: true });
  const stamp = readFileSync(`${plain}.stamp`, "utf8");
  if (existsSync(path) && existsSync(`${path}.of`) && readFileSync(`${path}.of`, "utf8") === stamp) return;
  rmSync(path, { force: true });
  if (changes.length === 0) copyFileSync(plain, path);
  else await build(part, folder, path, changes);
  writeFileSync(`${path}.of`, stamp);
}

async function build(part: Part, folder: string, path: string, changes: readonly Alteration[]): Promise<void> {
  const overlay: Record<string, string> = {};
  for (const [at, { file, from, to }] of changes.entries()) {
    const altered = join(folder, `altered-${at}.go`);
    writeFileSync(altered, replaced(join(root, file), from, to));
    overlay[join(root, file)] = altered;
  }
  writeFileSync(join(folder, "overlay.json"), JSON.stringify({ Replace: overlay }));
  const tags = readFileSync(join(root, "native", "tags.txt"), "utf8").trim();
  const flags = ["-p", "2", "-trimpath", "-mod=readonly", "-buildvcs=false", "-ldflags=-s -w -buildid="];
  const isLibrary = part === "library";
  const child = Bun.spawn({
    cmd: [
      ...["go", "build", "-C", join(root, "native"), ...flags, `-tags=${tags}`],
      ...(isLibrary ? ["-buildmode=c-shared"] : []),
      ...[`-overlay=${join(folder, "overlay.json")}`, "-o", path, isLibrary ? "./cmd/lib" : `./cmd/${part}`],
    ],
    env: { ...process.env, CGO_ENABLED: isLibrary ? "1" : "0", GOTOOLCHAIN: "local" },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const said = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(`the altered ${part} was not built:\n${said}`);
}

function replaced(path: string, from: string, to: string): string {
  const text = readFileSync(path, "utf8");
  if (text.split(from).length !== 2) throw new Error(`${path} does not hold these words once: ${from}`);
  return text.replace(from, () => to);
}
