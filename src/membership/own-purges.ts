// What this node says of purges in its beats: the newest one that it knows, whether its own disk still holds a purged
// text, and what it keeps from before: backups, and data that was set aside.

import { quarantineNames } from "../datadir/index.ts";
import { type Beat, MAX_KEPT_CHARACTERS, MAX_KEPT_NAMES } from "../fleet/index.ts";
import { purgeState } from "../log/purge-state.ts";
import type { Reader } from "../store/store.ts";

export interface OwnPurgesOptions {
  reader: Reader;
  dataDir: string;
  /** Returns the names of backups that this node knows and that were made before the change `seq`, newest first. */
  backupsBefore: (seq: number) => readonly string[];
  monotonicMs: () => number;
}

/** How often folders are listed. */
const LIST_MS = 10_000;

export class OwnPurges {
  readonly #options: OwnPurgesOptions;
  #listed: { purged: number; atMs: number; names: string[] } | undefined;

  constructor(options: OwnPurgesOptions) {
    this.#options = options;
  }

  /** Returns the fields for a beat. */
  fields(): Pick<Beat, "purged" | "erased" | "kept"> {
    const { purged, erased } = purgeState(this.#options.reader);
    return { purged, erased, kept: purged === 0 ? [] : this.#namesBefore(purged) };
  }

  #namesBefore(purged: number): string[] {
    const { monotonicMs, backupsBefore, dataDir } = this.#options;
    const nowMs = monotonicMs();
    if (this.#listed?.purged !== purged || nowMs - this.#listed.atMs >= LIST_MS) {
      this.#listed = { purged, atMs: nowMs, names: bounded([...asideOf(dataDir), ...backupsBefore(purged)]) };
    }
    return this.#listed.names;
  }
}

/** Cuts names to what a beat may hold, and says how many are left out. */
function bounded(names: readonly string[]): string[] {
  const cut = names.map((name) =>
    name.length > MAX_KEPT_CHARACTERS ? `${name.slice(0, MAX_KEPT_CHARACTERS - 1)}…` : name,
  );
  if (cut.length <= MAX_KEPT_NAMES) return cut;
  return [...cut.slice(0, MAX_KEPT_NAMES - 1), `and ${cut.length - MAX_KEPT_NAMES + 1} more`];
}

/** What was set aside is from before, or from a history of its own; it is not opened to find out. */
function asideOf(dataDir: string): string[] {
  try {
    return quarantineNames(dataDir)
      .sort()
      .map((name) => `aside/${name}`);
  } catch {
    return [];
  }
}
