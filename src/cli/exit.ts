// Exit codes, and errors as people see them: one line with what failed, one with what to do. The codes of Faults are in
// lib/fault.ts.

import { FAULTS, Fault } from "../lib/fault.ts";
import { printable } from "../lib/printable.ts";
import { fileReason, reasonOf } from "../lib/reason-of.ts";
import { redactText } from "../observe/redact.ts";

/** Unknown words, missing arguments. */
export const USAGE_EXIT = 2;
/** The command worked, and the answer is no: a node is failing, a right is missing, a wait ended without a change. */
export const NEGATIVE_EXIT = 3;
/** Ended by Ctrl-C. */
export const INTERRUPTED_EXIT = 130;
/** Ended by SIGTERM. */
export const TERMINATED_EXIT = 143;

/** An error of the system about a file that no command has caught names the file by its path. */
function systemMessage(error: unknown): string {
  const path = error instanceof Error && "path" in error && typeof error.path === "string" ? error.path : undefined;
  return path === undefined ? reasonOf(error) : `${path}: ${fileReason(error)}`;
}

/** Writes an error to stderr and returns its exit code. */
export function reportFailure(error: unknown): number {
  const message = error instanceof Fault ? error.message : systemMessage(error);
  const hint = error instanceof Fault && error.hint !== undefined ? `\n  try: ${error.hint}` : "";
  process.stderr.write(`${printable(redactText(`cairn: ${message}${hint}`))}\n`);
  return error instanceof Fault ? FAULTS[error.code].exit : FAULTS.internal.exit;
}
