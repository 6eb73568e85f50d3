// Raises the condition `disk_full` while the disk has too little room, and says why a write must be refused.

import type { Fault } from "../lib/fault.ts";
import type { Conditions } from "../observe/conditions.ts";
import { DiskGauge } from "../store/disk.ts";
import type { Store } from "../store/store.ts";

/** A leader without room hands over, and others learn of it from beats, so this is as frequent. */
const EVERY_MS = 1_000;

/** Watches the disk of a node. */
export interface DiskWatch {
  /** Checks the disk. Returns Fault `storage_full`, or undefined while there is room. */
  refusal(): Fault | undefined;
  stop(): void;
}

/** Watches the disk of `folder`: once a second, and whenever `refusal` is called. */
export function watchDisk(folder: string, store: Store, conditions: Conditions): DiskWatch {
  const gauge = new DiskGauge(folder, () => store.walBytes);
  const refusal = (): Fault | undefined => {
    const found = gauge.refusal();
    if (found === undefined) conditions.clear("disk_full");
    else conditions.raise("disk_full", found.message);
    return found;
  };
  const timer = setInterval(refusal, EVERY_MS).unref();
  return { refusal, stop: () => clearInterval(timer) };
}
