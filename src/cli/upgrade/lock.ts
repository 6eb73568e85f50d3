// One upgrade of a file at a time. The lock is that of the kernel on a file beside the executable, so it ends with its
// process, however that ends; what a killed one leaves is an empty file, which locks nothing.

import { closeSync, openSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { Fault } from "../../lib/fault.ts";
import { tryLockFile } from "../../store/lock.ts";

/** Locks the executable at `path` until it is disposed of. Fault `unavailable` where another upgrade holds it. */
export function lockExecutable(path: string): Disposable {
  const file = join(dirname(path), ".cairn-upgrade.lock");
  for (;;) {
    // Only who may upgrade can open it: whoever can read a file can hold up those who lock it.
    closeSync(openSync(file, "a", 0o600));
    const lock = tryLockFile(file);
    if (lock === undefined)
      throw new Fault("unavailable", `Another cairn upgrade of ${path} is under way`, {
        hint: "Nothing was changed by this one. Wait for the other to end; a killed one holds nothing.",
      });
    // The holder before removed it when it ended: then this lock is on a file that nobody else finds.
    if (statSync(file, { throwIfNoEntry: false })?.ino === lock.inode)
      return {
        [Symbol.dispose]: () => {
          rmSync(file, { force: true });
          lock.release();
        },
      };
    lock.release();
  }
}
