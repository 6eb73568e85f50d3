// The folder of the backups on this machine: what is in it, what an interrupted one left, and taking one away. A backup there is whole, as it came by a rename.

import { existsSync, readdirSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { renameDurably } from "../../lib/atomic-file.ts";
import { Fault } from "../../lib/fault.ts";
import { ensurePrivateFolder } from "../../lib/private-folder.ts";
import { type BackupName, parseName } from "./names.ts";

/** What is left free beside a backup, in bytes. */
const SPARE_BYTES = 64 * 1024 * 1024;

/** A folder of backups that one maker writes to. */
export class BackupFolder {
  readonly path: string;
  readonly #maker: string;

  constructor(path: string, maker: string) {
    this.path = path;
    this.#maker = maker;
  }

  /** Every backup that is here, whoever made it. */
  list(): BackupName[] {
    if (!existsSync(this.path)) return [];
    return readdirSync(this.path).flatMap((name) => {
      const parsed = parseName(name);
      return parsed !== undefined && existsSync(join(this.path, name, "manifest.json")) ? [parsed] : [];
    });
  }

  /** Those that this maker made. */
  own(): BackupName[] {
    return this.list().filter(({ maker }) => maker === this.#maker);
  }

  /** A place for a backup in the making, of which nothing is there yet. Faults `data_unsafe`, `storage_full`. */
  begin(bytes: number): string {
    ensurePrivateFolder(this.path);
    this.clean();
    const { bsize, blocks, bavail } = statfsSync(this.path);
    const free = bavail * bsize;
    // A copy must not be what fills the disk of the store: writes end at a twentieth left (store/disk.ts).
    const wanted = bytes + Math.min(Math.max(SPARE_BYTES, (blocks * bsize) / 20), 1024 ** 3);
    if (free < wanted) {
      throw new Fault("storage_full", `The disk of ${this.path} has ${mib(free)} left; a backup wants ${mib(wanted)}`, {
        hint: "Free space there, keep fewer backups (backup.keep), or name another disk (backup.folder).",
      });
    }
    return join(this.path, `${this.#maker}.making`);
  }

  /** Gives what was made at `begin`'s place its name, durable. */
  finish(made: string, name: string): string {
    const path = join(this.path, name);
    renameDurably(made, path);
    return path;
  }

  /** Removes what an interrupted backup of this maker left. */
  clean(): void {
    if (!existsSync(this.path)) return;
    for (const name of readdirSync(this.path))
      if (name.startsWith(`${this.#maker}.making`)) rmSync(join(this.path, name), { recursive: true, force: true });
  }

  /** Removes a backup of this maker: its manifest first, so that a half removed one is none. */
  remove({ name, maker }: BackupName): void {
    if (maker !== this.#maker) throw new Error(`${name} was made by another node`);
    rmSync(join(this.path, name, "manifest.json"), { force: true });
    rmSync(join(this.path, name), { recursive: true, force: true });
  }
}

function mib(bytes: number): string {
  return `${Math.ceil(bytes / 1024 ** 2)} MiB`;
}
