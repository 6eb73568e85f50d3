// Checks whether the disk has room for writes. Asked before a write is proposed, so that the disk never fills up in the
// middle of one (replication.md 5).

import { statfsSync } from "node:fs";
import { Fault } from "../lib/fault.ts";

/** Free space that is always left: a twentieth of the disk, at most this much. */
const MOST_LEFT_BYTES = 1024 ** 3;
const LOOK_EVERY_MS = 20;

/** Measures the free space of a disk, at most every 20 ms. */
export class DiskGauge {
  readonly #folder: string;
  readonly #owedBytes: () => number;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #refusal: Fault | undefined;

  /** `folder` is on the disk that is watched; `owedBytes` returns what earlier writes will still take there. */
  constructor(folder: string, owedBytes: () => number = () => 0) {
    this.#folder = folder;
    this.#owedBytes = owedBytes;
  }

  /** Returns the Fault `storage_full` while the disk has no room for writes. */
  refusal(): Fault | undefined {
    const now = performance.now();
    if (now - this.#lookedAtMs >= LOOK_EVERY_MS) {
      this.#lookedAtMs = now;
      this.#refusal = this.#look();
    }
    return this.#refusal;
  }

  #look(): Fault | undefined {
    const { bsize, blocks, bavail } = statfsSync(this.#folder);
    const free = bavail * bsize;
    const left = Math.min((blocks * bsize) / 20, MOST_LEFT_BYTES) + this.#owedBytes();
    if (free >= left) return undefined;
    return new Fault("storage_full", `The disk of this node has ${mib(free)} left; writes want ${mib(left)}`, {
      hint: "Free space on the disk of the data folder; reads go on meanwhile.",
    });
  }
}

function mib(bytes: number): string {
  return `${Math.floor(bytes / 1024 ** 2)} MiB`;
}
