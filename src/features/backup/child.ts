// Makes and checks backups in a child of low priority: the command an operator would type, so that neither the copy nor its check holds up requests, and an end of the node ends it.

import { constants, setPriority } from "node:os";
import { childEnvironment } from "../../lib/child-environment.ts";
import { Fault } from "../../lib/fault.ts";
import { type Manifest, parseManifest } from "../../store/backup.ts";

const MAX_TEXT_BYTES = 64 * 1024;

/** What runs `cairn backup`. */
export interface ChildOptions {
  /** The words that run this executable. */
  command: readonly string[];
  dataDir: string;
  env: Readonly<Record<string, string | undefined>>;
}

/** Copies the store into the new folder `to`, checked; answers the manifest. */
export function makeInChild(options: ChildOptions, to: string, signal: AbortSignal): Promise<Manifest> {
  return run(options, ["backup", to, "--data", options.dataDir, "--json"], signal);
}

/** Checks the backup in a folder. */
export function checkInChild(options: ChildOptions, folder: string, signal: AbortSignal): Promise<Manifest> {
  return run(options, ["backup", folder, "--verify", "--json"], signal);
}

async function run({ command, env }: ChildOptions, words: string[], signal: AbortSignal): Promise<Manifest> {
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
    // It has ended already, or may not be slowed down.
  }
  const [out, said] = await Promise.all([textOf(child.stdout), textOf(child.stderr), child.exited]);
  signal.throwIfAborted();
  if (child.exitCode === 0) return parseManifest(out);
  const reason =
    said
      .trim()
      .split("\n")
      .at(0)
      ?.replace(/^cairn: /, "") ?? "";
  throw new Fault("unavailable", reason || `the copying process ended with ${child.signalCode ?? child.exitCode}`, {
    hint: "Try `cairn backup FOLDER` by hand, and see the disk.",
  });
}

async function textOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) if (text.length < MAX_TEXT_BYTES) text += decoder.decode(chunk, { stream: true });
  return text.slice(0, MAX_TEXT_BYTES);
}
