// What the store says when the disk is full or its bytes are damaged: how such errors are told from others, and the way out.

import { Fault } from "../lib/fault.ts";

/** Bytes that are not what was written; apply stops at it, a read answers `data_corrupt`. */
export class DamagedError extends Error {
  readonly code = "SQLITE_CORRUPT";
}

const WAY_OUT =
  "Stop the node, keep a copy of its data folder, then restore the last backup with `cairn restore` into a new folder.";

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** Whether an error says that the disk is full. */
export function isStorageFull(error: unknown): boolean {
  return /^(SQLITE_FULL|ENOSPC|EDQUOT)/.test(codeOf(error));
}

/** `storage_full` for a node that cannot start. */
export function fullAtStart(dataDir: string, cause: unknown): Fault {
  return new Fault("storage_full", `The disk of ${dataDir} is full, so this node cannot start`, {
    hint: "Free space on that disk, then start again; nothing was changed.",
    cause,
  });
}

/** Whether an error says that the file is damaged or cannot be read. */
export function isDamaged(error: unknown): boolean {
  return /^SQLITE_(CORRUPT|NOTADB|IOERR)/.test(codeOf(error));
}

/** `data_corrupt` for what is wrong with the store at `path`. */
export function damaged(path: string, what: string, cause?: unknown): Fault {
  return new Fault("data_corrupt", `The store ${path} is damaged: ${what}`, {
    hint: WAY_OUT,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** What a caller is told; the path and the details are for the log of the node. */
export function damagedForCallers(cause: unknown): Fault {
  return new Fault("data_corrupt", "A part of this node's store is damaged and cannot be read", {
    hint: WAY_OUT,
    cause,
  });
}
