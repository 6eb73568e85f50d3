// What a member gives up while it waits for its fleet: store, or store and raft folder, move to `retired/<n>/` at once,
// so that the member starts without them, and to `aside/` only when the fleet's copy is installed (replication.md 33).
// Until then a recovery takes them back.

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { flush, writeAtomic } from "../lib/atomic-file.ts";
import { Fault } from "../lib/fault.ts";
import { ensurePrivateFolder } from "../lib/private-folder.ts";
import { readMeta } from "../log/meta.ts";
import { inspectStore, readStore } from "../store/inspect.ts";
import type { Reader } from "../store/store.ts";
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

/**
 * Returns the store that a recovery would take back: its folder, the newest position in it (`<epoch>-<seq>`), and why
 * it was retired. Undefined where none was.
 */
export function retiredStore(dataDir: string): { folder: string; position: string; why: string } | undefined {
  const folder = join(dataDir, RETIRED);
  for (const home of numbersIn(folder).map((number) => join(folder, String(number)))) {
    const position = keptPosition(join(home, "store"));
    if (position !== undefined) return { folder: home, position, why: readFileSync(join(home, REASON), "utf8").trim() };
  }
  return undefined;
}

/** Returns the position of a retired store, which may be damaged; undefined where there is none, or an empty one. */
function keptPosition(store: string): string | undefined {
  try {
    return readStore(store, newestPosition);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return `a position that cannot be read (${error.message})`;
  }
}

/** Returns the newest position of a store, `<epoch>-<seq>`; undefined of one that is empty. */
export function newestPosition(reader: Reader): string | undefined {
  const seq = reader.get<{ seq: number }>("SELECT seq FROM head")?.seq ?? 0;
  const epoch = reader.get<{ id: string }>("SELECT id FROM epochs ORDER BY n DESC LIMIT 1")?.id;
  return epoch === undefined ? undefined : `${epoch}-${seq}`;
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
