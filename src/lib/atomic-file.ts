// Files that appear whole or not at all and are on the disk when the call returns: written under another name, flushed,
// renamed, and the folder flushed, so that a loss of power leaves the earlier file or the new one.

import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";

export interface AtomicOptions {
  /** Several processes may write this file at once. The last one wins, and each uses a temporary name of its own. */
  shared?: boolean;
}

/** Writes a private file (0600) in place of an earlier one. `text` may come in parts. */
export function writeAtomic(
  path: string,
  text: string | Iterable<string>,
  { shared = false }: AtomicOptions = {},
): void {
  const temporary = shared ? `${path}.${process.pid}.new` : `${path}.new`;
  try {
    // What an earlier write left, or somebody put there: never followed, never kept.
    rmSync(temporary, { force: true });
    const file = openSync(temporary, "wx", 0o600);
    try {
      for (const part of typeof text === "string" ? [text] : text) writeAll(file, Buffer.from(part, "utf8"));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameDurably(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Renames a file or folder whose content is flushed already, and makes the new name durable. */
export function renameDurably(from: string, to: string): void {
  renameSync(from, to);
  flush(dirname(to));
}

/** Flushes a file or a folder to the disk. */
export function flush(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    flushOpen(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Flushes an open file to the disk. */
export function flushOpen(descriptor: number): void {
  fsyncSync(descriptor);
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.byteLength; ) at += writeSync(file, bytes, at);
}
