// Starts an installed service, and takes the installation back where it does not start: with the reason that the
// manager's journal or the log file has.

import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { Fault } from "../../lib/fault.ts";
import { pause } from "../../lib/pause.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { say } from "../output.ts";
import { runManager, type Service } from "./manager.ts";

/** Lines of the journal that are shown where none is the node's own last word. */
const SHOWN_LINES = 5;

/** Restarts the service. Fault `not_running` with the reason, where the manager reports that it did not start. */
export async function restart(service: Service): Promise<void> {
  const sinceMs = Date.now();
  const logged = sizeOf(service.logFile);
  for (const [index, words] of service.restart.entries()) {
    const { code, err, out } = await runManager(words);
    // launchd has no restart: unloading a job that is not loaded fails, which is no error here.
    if (code === 0 || index < service.restart.length - 1) continue;
    const reason = (await reasonInJournal(service, sinceMs)) ?? (err || out || `${words.join(" ")} ended with ${code}`);
    throw notStarted(reason);
  }
  if (service.logFile !== undefined) await watchStart(service, service.logFile, logged);
}

function notStarted(reason: string): Fault {
  return new Fault("not_running", `The service did not start: ${reason}`, {
    hint: "Mend that, then install it again.",
  });
}

/** How long a service is watched after its start, and how often. */
const WATCHED_MS = 3000;
const LOOK_MS = 200;

/** Throws where the service ends right after its start, with what it wrote to its log since. */
async function watchStart({ state }: Service, logFile: string, logged: number): Promise<void> {
  for (let leftMs = WATCHED_MS; leftMs > 0; leftMs -= LOOK_MS) {
    const { out } = await runManager(state);
    const exit = /^\s*last exit code = ([1-9]\d*)/m.exec(out)?.[1];
    if (exit !== undefined)
      throw notStarted(lastWords(textSince(logFile, logged)) ?? `it ended with exit code ${exit}`);
    await pause(LOOK_MS);
  }
}

function sizeOf(file: string | undefined): number {
  return file === undefined ? 0 : (statSync(file, { throwIfNoEntry: false })?.size ?? 0);
}

/** Returns what was added to a log file, its last 64 KiB. */
function textSince(file: string, from: number): string {
  if (sizeOf(file) <= from) return "";
  return readFileSync(file).subarray(from).subarray(-65_536).toString();
}

/** Returns the node's last error and hint, else the last lines of its journal; undefined where it has none. */
async function reasonInJournal({ journal }: Service, sinceMs: number): Promise<string | undefined> {
  if (journal === undefined) return undefined;
  const { code, out } = await runManager([...journal, `--since=@${Math.floor(sinceMs / 1000)}`]);
  return code === 0 ? lastWords(out) : undefined;
}

/** Returns the last `cairn: …` line of a journal with its `try: …` line, else its last lines; undefined if empty. */
export function lastWords(journal: string): string | undefined {
  const lines = journal
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && line !== "-- No entries --");
  const at = lines.findLastIndex((line) => line.startsWith("cairn: "));
  if (at < 0) return lines.slice(-SHOWN_LINES).join("\n  ") || undefined;
  const hint = lines[at + 1]?.startsWith("try: ") === true ? `\n  ${lines[at + 1]}` : "";
  return `${lines[at]?.slice("cairn: ".length)}${hint}`;
}

/** What was there before an installation. */
export interface Before {
  /** Text of the unit or job; undefined where there was none. */
  text: string | undefined;
  active: boolean;
}

/** Runs the steps of an installation. Where one fails, the earlier state comes back and its error is thrown. */
export async function orTakeBack(service: Service, before: Before, steps: () => Promise<void>): Promise<void> {
  try {
    await steps();
  } catch (error) {
    const now = await takeBack(service, before);
    if (!(error instanceof Fault)) throw error;
    throw error.retold(`${error.message}\n  ${now}`, { hint: error.hint, cause: error });
  }
}

/** Returns what is there now, in words. */
async function takeBack(service: Service, before: Before): Promise<string> {
  try {
    if (before.text === service.text) return "It is installed as before.";
    if (before.text === undefined) {
      for (const words of service.disable) await runManager(words);
      rmSync(service.path, { force: true });
    } else writeFileSync(service.path, before.text, { mode: 0o644 });
    for (const words of [...service.reload, ...service.forget]) await runManager(words);
    if (before.text === undefined) return "Nothing is installed.";
    if (!before.active) return "What was installed before is back.";
    await restart(service);
    return "What was installed before is back, and runs.";
  } catch (error) {
    say(`taking the installation back failed: ${reasonOf(error)}`);
    return `The installation could not be taken back; look at ${service.path}.`;
  }
}
