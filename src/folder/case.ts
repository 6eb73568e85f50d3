// Finds out whether a disk takes names that differ only in case for the same file.

import { randomBytes } from "node:crypto";
import { closeSync, existsSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { TEMPORARY } from "./scan.ts";

/** Reports it for the disk of a folder, by a file that is there for a moment; false where none can be made. */
export function foldsCase(root: string): boolean {
  const name = `${TEMPORARY}${randomBytes(6).toString("hex")}x`;
  const file = join(root, name);
  try {
    closeSync(openSync(file, "wx", 0o600));
    return existsSync(join(root, name.toUpperCase()));
  } catch {
    return false;
  } finally {
    rmSync(file, { force: true });
  }
}
