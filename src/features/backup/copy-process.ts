// Copies and checks backups in a child process of low priority, which runs `cairn backup`. Neither the copy nor its
// check delays requests, and the child is killed when the node stops.

import { constants, setPriority } from "node:os";
import { childEnvironment } from "../../lib/child-environment.ts";
import { Fault } from "../../lib/fault.ts";
import { type Manifest, parseManifest } from "../../store/backup.ts";

const MAX_TEXT_BYTES = 64 * 1024;

/** How to run `cairn backup`. */
export interface CopyProcessOptions {
  /** The command that runs this executable. */
  command: readonly string[];
  dataDir: string;
  env: Readonly<Record<string, string | undefined>>;
}

/**
 * Copies the store into the new folder `to` and checks the copy. Returns the manifest. Rejects with Fault
 * `unavailable`.
 */
export function copyInChild(options: CopyProcessOptions, to: string, signal: AbortSignal): Promise<Manifest> {
  return run(options, ["backup", to, "--data", options.dataDir, "--json"], signal);
}

/** Checks the backup in a folder. Returns the manifest. Rejects with Fault `unavailable`. */
export function checkInChild(options: CopyProcessOptions, folder: string, signal: AbortSignal): Promise<Manifest> {
  return run(options, ["backup", folder, "--verify", "--data", options.dataDir, "--json"], signal);
}

async function run({ command, env }: CopyProcessOptions, words: string[], signal: AbortSignal): Promise<Manifest> {
  signal.throwIfAborted();
  const child = Bun.spawn({
    cmd: [...command, ...words],
    env: childEnvironment(env, ["PATH", "HOME", "TMPDIR", "LANG", "TZ"]),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    signal,
    killSignal: "SIGKILL",
  });
  try {
    setPriority(child.pid, constants.priority.PRIORITY_LOW);
  } catch {
    // It has already ended, or this user may not change its priority.
  }
  const [stdout, stderr] = await Promise.all([textOf(child.stdout), textOf(child.stderr), child.exited]);
  signal.throwIfAborted();
  if (child.exitCode === 0) return parseManifest(stdout);
  const [firstLine = ""] = stderr.trim().split("\n");
  const reason = firstLine.replace(/^cairn: /, "");
  throw new Fault("unavailable", reason || `the copying process ended with ${child.signalCode ?? child.exitCode}`, {
    hint: "Run `cairn backup FOLDER` by hand, and check the disk.",
  });
}

async function textOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) if (text.length < MAX_TEXT_BYTES) text += decoder.decode(chunk, { stream: true });
  return text.slice(0, MAX_TEXT_BYTES);
}
