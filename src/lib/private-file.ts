// Writes small files that only this user may read.

import { renameSync, rmSync, writeFileSync } from "node:fs";

/** Writes a file atomically, readable by this user alone. Not flushed to the disk: it may be lost in a power failure. */
export function writePrivateFile(path: string, text: string): void {
  const partial = `${path}.${process.pid}.partial`;
  try {
    writeFileSync(partial, text, { mode: 0o600 });
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}
