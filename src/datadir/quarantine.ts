// Keeps what a node gives up: store and raft folder move to `aside/<date>-<n>/`, and what only this node had is
// exported there. Nothing in aside/ is ever deleted by Cairn. The index of its texts is deleted: it is made of them.

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { archivedLines } from "../features/context/index.ts";
import { SEARCH_FOLDER } from "../features/search/index.ts";
import { flush, writeAtomic } from "../lib/atomic-file.ts";
import { ensurePrivateFolder } from "../lib/private-folder.ts";
import { type ChangeRow, changeOf } from "../log/change-row.ts";
import { fleetOf, forkOf } from "../log/history.ts";
import { inspectStore } from "../store/inspect.ts";
import type { Reader } from "../store/store.ts";

/** The folder of quarantined folders. */
const ASIDE = "aside";
/** The export beside a quarantined store. */
const CONTEXTS_FILE = "contexts.jsonl";
/** Folders of a data folder that hold a member's store, an edge's cache, a raft member; in the order of a move. */
export const DATA_FOLDERS = ["store", "edge", "raft"];

/**
 * Moves store and raft folder of a stopped node to aside/, with the reason in `why.txt`. Returns the new folder;
 * undefined if there was nothing. The data folder must be locked.
 */
export function quarantineData(
  dataDir: string,
  why: string,
  nowMs = Date.now(),
  names: readonly string[] = DATA_FOLDERS,
): string | undefined {
  const there = names.filter((name) => existsSync(join(dataDir, name)));
  if (there.length === 0) return undefined;
  const home = newQuarantineFolder(dataDir, nowMs);
  writeAtomic(join(home, "why.txt"), `${why}\n`);
  // The raft folder goes last: a start refuses a store without it, and a raft folder without a store.
  for (const name of there) renameSync(join(dataDir, name), join(home, name));
  if (there.includes("store")) rmSync(join(dataDir, SEARCH_FOLDER), { recursive: true, force: true });
  flush(home);
  flush(dataDir);
  return home;
}

/** Moves only the raft folder to aside/, for a store that begins a new history. */
export function quarantineRaft(dataDir: string, why: string, nowMs = Date.now()): string | undefined {
  if (!existsSync(join(dataDir, "raft"))) return undefined;
  const home = newQuarantineFolder(dataDir, nowMs);
  writeAtomic(join(home, "why.txt"), `${why}\n`);
  renameSync(join(dataDir, "raft"), join(home, "raft"));
  flush(home);
  flush(dataDir);
  return home;
}

/**
 * For a node that received a fleet's store: exports beside each quarantined store what only that store had, unless that
 * was done. Returns the folders with a new export. Faults as of `inspectStore`.
 */
export function archiveForks(dataDir: string, fleet: Reader): string[] {
  return quarantineNames(dataDir)
    .map((name) => join(dataDir, ASIDE, name))
    .filter((home) => existsSync(join(home, "store", "CURRENT")) && !existsSync(join(home, CONTEXTS_FILE)))
    .filter(
      (home) =>
        inspectStore(join(home, "store"), (own) => {
          const fork = own.get("SELECT 1 FROM head") === undefined ? undefined : forkOf(own, fleet);
          if (fork !== undefined) writeSuffix(home, own, fork);
          return fork !== undefined;
        })?.seen === true,
    );
}

function writeSuffix(home: string, reader: Reader, afterSeq: number): void {
  const seq = reader.get<{ seq: number }>("SELECT seq FROM head")?.seq ?? 0;
  const position = { epoch: fleetOf(reader).epoch, seq };
  const rows = reader.iterate<ChangeRow>("SELECT * FROM changes WHERE seq > ? ORDER BY seq", afterSeq);
  writeAtomic(join(home, "changes.jsonl"), inLines(changeLines(rows)));
  writeAtomic(join(home, CONTEXTS_FILE), inLines(archivedLines(reader, afterSeq, position)));
  flush(home);
}

function* changeLines(rows: Iterable<ChangeRow>): Generator<string> {
  for (const row of rows) yield JSON.stringify(changeOf(row));
}

function* inLines(lines: Iterable<string>): Generator<string> {
  for (const line of lines) yield `${line}\n`;
}

/** Returns the names of the quarantined folders, of all days. */
export function quarantineNames(dataDir: string): string[] {
  const aside = join(dataDir, ASIDE);
  return existsSync(aside) ? readdirSync(aside) : [];
}

/** Returns how many folders were quarantined on that day. */
export function quarantineCount(dataDir: string, nowMs: number): number {
  return quarantineNames(dataDir).filter((name) => name.startsWith(`${dateOf(nowMs)}-`)).length;
}

/** Makes a new folder `aside/<date>-<n>`. */
export function newQuarantineFolder(dataDir: string, nowMs: number): string {
  const aside = join(dataDir, ASIDE);
  ensurePrivateFolder(aside);
  const date = dateOf(nowMs);
  const taken = readdirSync(aside).flatMap((name) =>
    name.startsWith(`${date}-`) ? [Number(name.slice(date.length + 1))] : [],
  );
  const home = join(aside, `${date}-${Math.max(0, ...taken.filter(Number.isSafeInteger)) + 1}`);
  mkdirSync(home, { mode: 0o700 });
  flush(aside);
  return home;
}

function dateOf(nowMs: number): string {
  return new Date(nowMs).toISOString().slice(0, 10);
}
