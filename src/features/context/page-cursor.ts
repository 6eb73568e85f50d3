// Cursors of pages: those that are a number, and the Fault for a cursor that cannot be read.

import { Fault } from "../../lib/fault.ts";

/** Returns the Fault for a cursor that is not one of `list`, such as "this history". */
export function invalidCursor(cursor: string, list: string): Fault {
  return new Fault("invalid_input", `${JSON.stringify(cursor.slice(0, 80))} is not a cursor of ${list}`, {
    hint: "Pass the cursor of the previous page unchanged, or leave it out.",
  });
}

/** Parses a cursor that is a positive number. Throws `invalid_input`. */
export function parseNumberCursor(cursor: string, list: string): number {
  if (/^[1-9][0-9]{0,14}$/.test(cursor)) return Number(cursor);
  throw invalidCursor(cursor, list);
}
