// Cursors of pages: those that are a number or several values, and the Fault for a cursor that cannot be read.

import type { z } from "zod";
import { Fault } from "../lib/fault.ts";

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

/** Returns a cursor of several values. It gives no right: each page is filtered by the rights at its time. */
export function listCursor(values: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(values), "utf8").toString("base64url");
}

/** Parses a cursor of `listCursor` whose values have that shape. Throws `invalid_input`. */
export function parseListCursor<T>(cursor: string, shape: z.ZodType<T>, list: string): T {
  try {
    return shape.parse(JSON.parse(Buffer.from(cursor, "base64url").toString("utf8")));
  } catch {
    throw invalidCursor(cursor, list);
  }
}
