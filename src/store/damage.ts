// Recognises a full disk and damaged bytes among the errors of SQLite, and has the Faults for them.

import { Fault } from "../lib/fault.ts";

/** Stored bytes that are not those written. Apply stops the node at it; a read returns `data_corrupt`. */
export class DamagedError extends Error {
  readonly code = "SQLITE_CORRUPT";
}

const WAY_OUT =
  "Stop the node, keep a copy of its data folder, then restore the last backup with `cairn restore` into a new folder.";

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** Reports whether an error means that the disk is full. */
export function isStorageFull(error: unknown): boolean {
  return /^(SQLITE_FULL|ENOSPC|EDQUOT)/.test(codeOf(error));
}

/** Returns `storage_full` for a node that cannot start. */
export function fullAtStart(dataDir: string, cause: unknown): Fault {
  return new Fault("storage_full", `The disk of ${dataDir} is full, so this node cannot start`, {
    hint: "Free space on that disk, then start again; nothing was changed.",
    cause,
  });
}

/** Reports whether an error means that the file is damaged or cannot be read. */
export function isDamaged(error: unknown): boolean {
  return /^SQLITE_(CORRUPT|NOTADB|IOERR)/.test(codeOf(error));
}

/** Reports whether an error means that the disk did not confirm a write. After it nothing can be said of that file. */
export function isSyncFailure(error: unknown): boolean {
  if (/^SQLITE_IOERR_(DIR_)?FSYNC/.test(codeOf(error))) return true;
  return error instanceof Error && "syscall" in error && error.syscall === "fsync";
}

/** Returns `data_corrupt` for the store at `path`. */
export function damaged(path: string, what: string, cause?: unknown): Fault {
  return new Fault("data_corrupt", `The store ${path} is damaged: ${what}`, {
    hint: WAY_OUT,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Returns the Fault that callers see; path and details are only in the node's log. */
export function damagedForCallers(cause: unknown): Fault {
  return new Fault("data_corrupt", "A part of this node's store is damaged and cannot be read", {
    hint: WAY_OUT,
    cause,
  });
}
