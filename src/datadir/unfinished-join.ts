// Marks a data folder whose store and raft folder were begun by a join that was not finished. They hold nothing yet, so
// the next start removes them instead of setting them aside.

import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { flush } from "../lib/atomic-file.ts";

const MARK = "joining";
/** What a join makes before it is recorded in fleet.json. */
const BEGUN = ["store", "raft"];

/** Called before a joining node makes its store. The data folder has neither a store nor a raft folder. */
export function beginJoin(dataDir: string): void {
  writeFileSync(join(dataDir, MARK), "", { mode: 0o600 });
  flush(dataDir);
}

/** From now on store and raft folder are the node's own: the join is recorded, or other data are put there. */
export function endJoin(dataDir: string): void {
  if (!existsSync(join(dataDir, MARK))) return;
  rmSync(join(dataDir, MARK));
  flush(dataDir);
}

/**
 * Removes what an unfinished join made, if there was one. `isInUse` says whether the store there belongs to a fleet or
 * holds changes, which an unfinished join never leaves; then nothing is removed but the mark.
 */
export function removeUnfinishedJoin(dataDir: string, isInUse: () => boolean): void {
  if (!existsSync(join(dataDir, MARK))) return;
  if (!isInUse()) for (const name of BEGUN) rmSync(join(dataDir, name), { recursive: true, force: true });
  flush(dataDir);
  endJoin(dataDir);
}
