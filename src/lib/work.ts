// Counts the work of one command in apply, and has the prices of what commands and reads do. Units are counted, never
// timed, so that the same command ends in the same way on every machine; a unit is about a nanosecond on the machine on
// which the prices were measured.

import { Fault } from "./fault.ts";

/**
 * Most units that apply may spend on one command whose work its size does not bound (security.md 24). With the units
 * for cleaning up, a machine that is seven times slower stays below the silence after which a leader hands over
 * (replication.md 23, profile lan). A merge patch of an ordinary document of 4 MiB takes half of them.
 */
export const MAX_COMMAND_WORK = 96 * 1024 * 1024;
/** Most units for removing what history limits no longer keep. What is left over is removed by later commands. */
const MAX_CLEANUP_WORK = 16_000_000;

/** Looking at a row of an index or a table that may not be wanted. */
export const LOOK_AT_ROW = 1000;
/** Reading a row without its text, and showing it. */
export const SHOW_ROW = 5000;
/** Reading a stored text: its hash, and its bytes as text. */
export const READ_BYTE = 2;
/** Storing a text: its hash, its bytes, its pages. */
export const WRITE_BYTE = 6;
/** Removing a stored text: each of its pages is visited. */
export const REMOVE_BYTE = 1;
/** Adding, changing or removing a row with its index entries. */
export const WRITE_ROW = 50_000;

/** The work of one command. */
export class Work {
  readonly #limit: number;
  #spent = 0;
  #cleanup = 0;

  /** Infinity: counts without a limit, as the versions of commands did that had none. */
  constructor(limit = Number.POSITIVE_INFINITY) {
    this.#limit = limit;
  }

  /** Units that were spent, cleaning up included. */
  get spent(): number {
    return this.#spent + this.#cleanup;
  }

  /** Counts units that are about to be spent. Fault `too_large` beyond the limit. */
  spend(units: number): void {
    this.#spent += units;
    refuseWork(this.#spent, this.#limit);
  }

  /** Counts units of removing old rows, and reports whether they may be spent. */
  mayClean(units: number): boolean {
    if (this.#limit !== Number.POSITIVE_INFINITY && this.#cleanup + units > MAX_CLEANUP_WORK) return false;
    this.#cleanup += units;
    return true;
  }
}

/** Throws Fault `too_large` where `units` are more than `limit`. */
export function refuseWork(units: number, limit: number): void {
  if (units <= limit) return;
  throw new Fault("too_large", `The write takes more than ${limit} units of work, which is the limit of one write`, {
    hint: "Send it in parts, or write the document as a whole.",
    details: { limit },
  });
}
