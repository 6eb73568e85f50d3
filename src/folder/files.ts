// Writes and removes files of a folder: whole or not at all, never through a link, and never over what has changed
// since it was looked at.

import { randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { flush, flushOpen } from "../lib/atomic-file.ts";
import { Fault } from "../lib/fault.ts";
import { isSameSeen, type Seen, seenAt, TEMPORARY } from "./scan.ts";

/** Longest name of a file in bytes, on every file system that matters. */
const MAX_NAME_BYTES = 255;

/** A folder in which files are written. */
export class Files {
  readonly root: string;
  /** Folders whose names are not on the disk yet. */
  readonly #dirty = new Set<string>();

  constructor(root: string) {
    this.root = root;
  }

  /**
   * Writes a file in place of the one that was seen there; undefined: there was none. Returns how it is now. Throws
   * Fault `version_mismatch` where it has changed since, and `invalid_input` for a path that cannot be.
   */
  write(path: string, text: string, expected: Seen | undefined): Seen {
    const long = path.split("/").find((name) => Buffer.byteLength(name) > MAX_NAME_BYTES);
    if (long !== undefined)
      throw new Fault("invalid_input", `Its file name would have more than ${MAX_NAME_BYTES} bytes`, {
        hint: "Give the context a shorter id.",
      });
    const target = join(this.root, path);
    this.#makeFolder(dirname(path));
    const part = join(dirname(target), `${TEMPORARY}${randomBytes(6).toString("hex")}`);
    try {
      writeFlushed(part, text, expected === undefined ? undefined : statSync(target, { throwIfNoEntry: false })?.mode);
      this.#name(part, target, expected);
    } finally {
      rmSync(part, { force: true });
    }
    this.#dirty.add(dirname(target));
    const seen = seenAt(target);
    if (seen === undefined) throw changed();
    return seen;
  }

  /** Removes a file that was seen, and the folders that are empty then. Throws Fault `version_mismatch`. */
  remove(path: string, expected: Seen): void {
    const target = join(this.root, path);
    if (!isSameSeen(seenAt(target), expected)) throw changed();
    unlinkSync(target);
    this.#dirty.add(dirname(target));
    for (let folder = dirname(path); folder !== "."; folder = dirname(folder)) {
      try {
        rmdirSync(join(this.root, folder));
      } catch {
        return;
      }
      this.#dirty.delete(join(this.root, folder));
      this.#dirty.add(dirname(join(this.root, folder)));
    }
  }

  /** Reports whether something has this very name: a disk without case finds a file under other ones too. */
  isThere(path: string): boolean {
    const target = join(this.root, path);
    if (lstatSync(target, { throwIfNoEntry: false }) === undefined) return false;
    return readdirSync(dirname(target)).includes(basename(target));
  }

  /** Returns once every name that was written or removed is on the disk. */
  flush(): void {
    for (const folder of this.#dirty) {
      try {
        flush(folder);
      } catch {
        // It was removed meanwhile; the folder above it is flushed too.
      }
    }
    this.#dirty.clear();
  }

  /** Gives a written file its name. */
  #name(part: string, target: string, expected: Seen | undefined): void {
    if (!isSameSeen(seenAt(target), expected)) throw changed();
    try {
      // Unlike a rename, a link never replaces what came meanwhile.
      if (expected === undefined) linkSync(part, target);
      else renameSync(part, target);
    } catch (error) {
      if (codeOf(error) === "EEXIST") throw changed();
      if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"].includes(codeOf(error))) throw error;
      // File systems without hard links.
      if (lstatSync(target, { throwIfNoEntry: false }) !== undefined) throw changed();
      renameSync(part, target);
    }
  }

  /** Makes a folder and those above it. */
  #makeFolder(path: string): void {
    if (path === ".") return;
    this.#makeFolder(dirname(path));
    const folder = join(this.root, path);
    const found = lstatSync(folder, { throwIfNoEntry: false });
    if (found?.isDirectory() === true) return;
    if (found !== undefined) {
      const what = found.isSymbolicLink() ? "a symbolic link, which is not followed" : "a file";
      throw new Fault("invalid_input", `Its folder ${path} is ${what}`, { hint: "Move that away, and run it again." });
    }
    mkdirSync(folder);
    this.#dirty.add(dirname(folder));
  }
}

/** Returns the refusal of a file that has changed since it was looked at. The next sync looks at it again. */
export function changed(): Fault {
  return new Fault("version_mismatch", "the file has changed while it was synced", { hint: "Run it again." });
}

function writeFlushed(path: string, text: string, mode: number | undefined): void {
  const file = openSync(path, "wx");
  try {
    writeFileSync(file, text);
    flushOpen(file);
  } finally {
    closeSync(file);
  }
  if (mode !== undefined) chmodSync(path, mode & 0o777);
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
