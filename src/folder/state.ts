// What a folder and its contexts were at the last sync: one file in a private folder of the user, and a lock, so that
// one process at a time syncs a folder. A state that is lost costs no text: then nothing is deleted on either side.

import { existsSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeAtomic } from "../lib/atomic-file.ts";
import { Fault } from "../lib/fault.ts";
import { ensurePrivateFolder } from "../lib/private-folder.ts";
import { readBounded } from "../lib/read-file.ts";
import { sha256Hex } from "../lib/sha256.ts";
import { lockDataFolder } from "../store/lock.ts";
import { MAX_FILES, type Seen } from "./scan.ts";

const MAX_STATE_BYTES = 256 * 1024 * 1024;

const entry = z.object({
  id: z.string(),
  path: z.string(),
  version: z.number().int(),
  etag: z.string(),
  digest: z.string(),
  seen: z.object({ size: z.number(), mtime: z.string(), ctime: z.string(), inode: z.string() }),
  settled: z.boolean(),
});

const written = z.object({
  format: z.literal(1),
  root: z.string(),
  prefix: z.string(),
  /** The epoch of the store: after a restore its versions are other ones. */
  history: z.string(),
  entries: z.array(entry).max(MAX_FILES),
});

/** A note at the last sync. */
export interface Entry {
  path: string;
  version: number;
  etag: string;
  digest: string;
  /** The file as it was then. */
  seen: Seen;
  /** Whether a later change of the file is sure to show in `seen`: its clock is coarse. */
  settled: boolean;
}

/** The state of one folder with one prefix at one node or fleet. */
export class SyncState {
  readonly #file: string;
  readonly #about: { root: string; prefix: string };
  readonly #release: () => void;
  /** By id. */
  readonly entries: Map<string, Entry>;
  history: string;
  #changed = false;

  private constructor(file: string, about: { root: string; prefix: string }, release: () => void) {
    this.#file = file;
    this.#about = about;
    this.#release = release;
    const read = readState(file, about);
    this.history = read?.history ?? "";
    this.entries = new Map(read?.entries.map(({ id, ...value }) => [id, value]));
  }

  /**
   * Opens the state of a folder in a private folder of the user, for this process alone. `where` names the node or
   * fleet. Throws Fault `data_locked`, `data_corrupt`, `data_unsafe`.
   */
  static open(states: string, folder: string, prefix: string, where: string): SyncState {
    const root = realpathSync(folder);
    const place = join(states, sha256Hex(JSON.stringify([root, prefix, where])).slice(0, 16));
    ensurePrivateFolder(place, "XDG_STATE_HOME");
    const lock = lockFor(place, root);
    try {
      return new SyncState(join(place, "state.json"), { root, prefix }, () => lock.release());
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  set(id: string, value: Entry): void {
    this.entries.set(id, value);
    this.#changed = true;
  }

  delete(id: string): void {
    if (this.entries.delete(id)) this.#changed = true;
  }

  /**
   * Forgets everything that was of another history of the store. Reports whether there was any. `history`: its epoch.
   */
  follow(history: string): boolean {
    if (this.history === history) return false;
    const hadEntries = this.entries.size > 0;
    this.history = history;
    this.entries.clear();
    this.#changed = true;
    return hadEntries;
  }

  /** Writes what has changed: whole, or not at all. */
  save(): void {
    if (!this.#changed) return;
    const { root, prefix } = this.#about;
    const entries = [...this.entries].map(([id, value]) => ({ id, ...value }));
    writeAtomic(this.#file, `${JSON.stringify({ format: 1, root, prefix, history: this.history, entries })}\n`);
    this.#changed = false;
  }

  close(): void {
    this.#release();
  }
}

function lockFor(place: string, root: string): { release(): void } {
  try {
    return lockDataFolder(place);
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== "data_locked") throw error;
    throw error.retold(`Another cairn folder sync runs for ${root}`, {
      hint:
        "One at a time: with --watch it does all that there is to do. Stop it with Ctrl-C, or with kill and the pid in " +
        `${join(place, "cairn.pid")}.`,
    });
  }
}

function readState(file: string, about: { root: string; prefix: string }): z.output<typeof written> | undefined {
  if (!existsSync(file)) return undefined;
  const damaged = (why: string) =>
    new Fault("data_corrupt", `The state of the last sync, ${file}, is ${why}`, {
      hint: "Move it away and sync again: that compares everything, deletes nothing, and keeps both texts where they differ.",
    });
  let parsed: unknown;
  try {
    parsed = JSON.parse(readBounded(file, MAX_STATE_BYTES).toString("utf8"));
  } catch {
    throw damaged("damaged");
  }
  const state = written.safeParse(parsed);
  if (!state.success) throw damaged("not as this version writes it");
  return state.data.root === about.root && state.data.prefix === about.prefix ? state.data : undefined;
}
