// What a member gives up while it waits for its fleet: store, or store and raft folder, move to `retired/<n>/` at once,
// so that the member starts without them, and to `aside/` only when the fleet's copy is installed (replication.md 33).
// Until then a recovery takes them back.

import { existsSync, mkdirSync, readdirSync, renameSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { flush, writeAtomic } from "../lib/atomic-file.ts";
import { ensurePrivateFolder } from "../lib/private-folder.ts";
import { readMeta } from "../log/meta.ts";
import { inspectStore } from "../store/inspect.ts";
import { newQuarantineFolder, quarantineData } from "./quarantine.ts";

const RETIRED = "retired";
const REASON = "why.txt";

/** Moves these folders to `retired/<n>`, with the reason. Returns it; undefined if there was nothing. */
export function retireData(dataDir: string, why: string, names: readonly string[]): string | undefined {
  const there = names.filter((name) => existsSync(join(dataDir, name)));
  if (there.length === 0) return undefined;
  const folder = join(dataDir, RETIRED);
  ensurePrivateFolder(folder);
  const home = join(folder, String(1 + Math.max(0, ...numbersIn(folder))));
  mkdirSync(home, { mode: 0o700 });
  writeAtomic(join(home, REASON), `${why}\n`);
  // The raft folder is the last of the names: a start refuses a store without it.
  for (const name of there) renameSync(join(dataDir, name), join(home, name));
  for (const path of [home, folder, dataDir]) flush(path);
  return home;
}

/** The fleet's copy is installed: moves what was retired to aside/ for good. Returns the folders there. */
export function archiveRetired(dataDir: string, nowMs = Date.now()): string[] {
  const folder = join(dataDir, RETIRED);
  const homes = numbersIn(folder).map((number) => {
    const from = join(folder, String(number));
    const home = newQuarantineFolder(dataDir, nowMs);
    for (const name of readdirSync(from)) renameSync(join(from, name), join(home, name));
    flush(home);
    rmdirSync(from);
    return home;
  });
  if (existsSync(folder)) rmdirSync(folder);
  flush(dataDir);
  return homes;
}

/**
 * For a recovery of a node that still waits for its fleet's copy: puts back what it had before it began to wait. What
 * took that place meanwhile, a store without content, goes to aside/.
 */
export function takeBackRetired(dataDir: string, nowMs = Date.now()): void {
  const folder = join(dataDir, RETIRED);
  const store = inspectStore(join(dataDir, "store"), (reader) => readMeta(reader, "raft_server") ?? "");
  if (store !== undefined && store.seen !== "") return;
  const taken = new Set<string>();
  // Later ones hold only what was made while it waited.
  for (const number of numbersIn(folder)) {
    const home = join(folder, String(number));
    // The raft folder first: if this ends before the store is back, it is run again.
    const names = readdirSync(home)
      .filter((name) => name !== REASON && !taken.has(name))
      .sort();
    quarantineData(dataDir, "A recovery took back what was before it", nowMs, names);
    for (const name of names) {
      renameSync(join(home, name), join(dataDir, name));
      taken.add(name);
    }
  }
  archiveRetired(dataDir, nowMs);
}

/** Returns how many times data were retired and not archived yet. */
export function retiredCount(dataDir: string): number {
  return numbersIn(join(dataDir, RETIRED)).length;
}

function numbersIn(folder: string): number[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .map(Number)
    .filter(Number.isSafeInteger)
    .sort((a, b) => a - b);
}
