// A data folder on a small disk of its own (a tmpfs mounted over it, so this needs root), which can be filled and freed
// while the node runs.

import { cpSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FleetNode } from "../kit/fleet.ts";

const BLOCK = Buffer.alloc(1024 * 1024, 1);

export class SmallDisk {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Puts the data folder of a node that does not run on a disk of this many MB. */
  static under(node: FleetNode, megabytes: number): SmallDisk {
    const { dataDir } = node;
    node.harmed = true;
    const copy = mkdtempSync(join(tmpdir(), "cairn-disk-"));
    cpSync(dataDir, copy, { recursive: true });
    run(["mount", "-t", "tmpfs", "-o", `size=${megabytes}m,mode=0700`, "none", dataDir]);
    cpSync(copy, dataDir, { recursive: true });
    rmSync(copy, { recursive: true });
    return new SmallDisk(dataDir);
  }

  /** Fills it except for this many bytes. */
  fill(leave = 0): void {
    for (let at = 0; ; at++) {
      const { bavail, bsize } = statfsSync(this.#folder);
      const bytes = Math.min(BLOCK.length, bavail * bsize - leave);
      if (bytes <= 0) return;
      try {
        writeFileSync(join(this.#folder, `ballast-${at % 4096}`), BLOCK.subarray(0, bytes), { flag: "a" });
      } catch (error) {
        if ((error as { code?: string }).code !== "ENOSPC") throw error;
        return;
      }
    }
  }

  get size(): number {
    const { blocks, bsize } = statfsSync(this.#folder);
    return blocks * bsize;
  }

  free(): void {
    run(["sh", "-c", `rm -f "$1"/ballast-*`, "sh", this.#folder]);
  }

  /** Removes the disk; the data stay. The node must not run. */
  remove(): void {
    this.free();
    const copy = mkdtempSync(join(tmpdir(), "cairn-disk-"));
    cpSync(this.#folder, copy, { recursive: true });
    run(["umount", this.#folder]);
    cpSync(copy, this.#folder, { recursive: true });
    rmSync(copy, { recursive: true });
  }

  /** Removes the disk and its data, whatever still uses it. */
  drop(): void {
    Bun.spawnSync({ cmd: ["umount", "-l", this.#folder], stderr: "ignore" });
  }
}

function run(cmd: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync({ cmd });
  if (exitCode !== 0) throw new Error(`${cmd.join(" ")}: ${stderr.toString().trim()}`);
}
