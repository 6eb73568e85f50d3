// The folder of scheduled backups on this machine: what is in it, room for a new one, and removal. A backup appears
// there by a rename, so it is always complete.

import { existsSync, readdirSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { renameDurably } from "../../lib/atomic-file.ts";
import { Fault } from "../../lib/fault.ts";
import { ensurePrivateFolder } from "../../lib/private-folder.ts";
import { type BackupName, parseName } from "./backup-name.ts";

/** What has to stay free beside a backup, in bytes. */
const MIN_FREE_BYTES = 64 * 1024 * 1024;

/** A folder of backups to which one maker writes. */
export class BackupFolder {
  readonly path: string;
  readonly #maker: string;

  constructor(path: string, maker: string) {
    this.path = path;
    this.#maker = maker;
  }

  /** Returns the backups of all makers. */
  list(): BackupName[] {
    if (!existsSync(this.path)) return [];
    return readdirSync(this.path).flatMap((name) => {
      const parsed = parseName(name);
      return parsed !== undefined && existsSync(join(this.path, name, "manifest.json")) ? [parsed] : [];
    });
  }

  /** Returns the backups of this maker. */
  own(): BackupName[] {
    return this.list().filter(({ maker }) => maker === this.#maker);
  }

  /**
   * Returns a path for a new backup, where nothing exists yet. Throws Fault `data_unsafe` or, without room for `bytes`,
   * `storage_full`.
   */
  begin(bytes: number): string {
    ensurePrivateFolder(this.path, "backup.folder");
    this.removeLeftovers();
    const { bsize, blocks, bavail } = statfsSync(this.path);
    const free = bavail * bsize;
    // The copy must not fill the disk of the store: with a twentieth left, writes are refused (store/disk.ts).
    const needed = bytes + Math.min(Math.max(MIN_FREE_BYTES, (blocks * bsize) / 20), 1024 ** 3);
    if (free < needed) {
      throw new Fault("storage_full", `The disk of ${this.path} has ${mib(free)} left; a backup needs ${mib(needed)}`, {
        hint: "Free space there, keep fewer backups (backup.keep), or use another disk (backup.folder).",
      });
    }
    return join(this.path, `${this.#maker}.making`);
  }

  /** Gives a complete backup its name, durably. `path` comes from `begin`. Returns the new path. */
  finish(path: string, name: string): string {
    const named = join(this.path, name);
    renameDurably(path, named);
    return named;
  }

  /** Removes what interrupted backups of this maker left. */
  removeLeftovers(): void {
    if (!existsSync(this.path)) return;
    for (const name of readdirSync(this.path))
      if (name.startsWith(`${this.#maker}.making`)) rmSync(join(this.path, name), { recursive: true, force: true });
  }

  /** Removes a backup of this maker. Its manifest goes first, so that a half-removed backup is none. */
  remove({ name, maker }: BackupName): void {
    if (maker !== this.#maker) throw new Error(`${name} was made by another node`);
    rmSync(join(this.path, name, "manifest.json"), { force: true });
    rmSync(join(this.path, name), { recursive: true, force: true });
  }
}

function mib(bytes: number): string {
  return `${Math.ceil(bytes / 1024 ** 2)} MiB`;
}
