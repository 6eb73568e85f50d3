// Keeps the condition `disk_full` true to the disk, and answers why no write can be taken now.

import type { Fault } from "../lib/fault.ts";
import type { Conditions } from "../observe/conditions.ts";
import { DiskGauge } from "../store/disk.ts";
import type { Store } from "../store/store.ts";

const EVERY_MS = 30_000;

export interface DiskWatch {
  /** Fault `storage_full`, or undefined while there is room. */
  refusal(): Fault | undefined;
  stop(): void;
}

/** Looks at the disk of `folder` before each write and twice a minute. */
export function watchDisk(folder: string, store: Store, conditions: Conditions): DiskWatch {
  const gauge = new DiskGauge(folder, () => store.unfoldedBytes);
  const refusal = (): Fault | undefined => {
    const found = gauge.refusal();
    if (found === undefined) conditions.clear("disk_full");
    else conditions.raise("disk_full", found.message);
    return found;
  };
  const timer = setInterval(refusal, EVERY_MS).unref();
  return { refusal, stop: () => clearInterval(timer) };
}
