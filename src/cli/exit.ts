// A failure as people see it: one line what failed, one line what to do, and the exit code of its kind (lib/fault.ts).

import { FAULTS, Fault } from "../lib/fault.ts";
import { printable } from "../lib/printable.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { redactText } from "../observe/redact.ts";

/** Unknown words, missing arguments. */
export const USAGE_EXIT = 2;

/** Writes the failure to stderr and answers the exit code. */
export function reportFailure(error: unknown): number {
  const message = reasonOf(error);
  const hint = error instanceof Fault && error.hint !== undefined ? `\n  try: ${error.hint}` : "";
  process.stderr.write(`${printable(redactText(`cairn: ${message}${hint}`))}\n`);
  return error instanceof Fault ? FAULTS[error.code].exit : FAULTS.internal.exit;
}
