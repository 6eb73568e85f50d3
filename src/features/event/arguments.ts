// Arguments that several operations on events take.

import { z } from "zod";

/** Most characters of the name of a space. */
const MAX_SPACE = 200;

/** The argument `space`. */
export const spaceArgument = z
  .string()
  .max(MAX_SPACE)
  .regex(/^(?!\.{1,2}$)[A-Za-z0-9._~:@-]+$/, "must be the name of a space: ASCII letters, digits and . _ ~ : @ -");

const pattern = z.string().min(1).max(1100);

/** What chooses events, for reads, waits and streams. */
export const chosen = {
  space: spaceArgument.optional().describe("Only events of this space (default: of all that you may read)."),
  types: z
    .array(pattern)
    .min(1)
    .max(64)
    .optional()
    .describe("Only events of these types; one that ends with * means all that begin so, such as build.*."),
  source: pattern.optional().describe("Only events of this source; with * at its end all that begin so."),
  subject: pattern.optional().describe("Only events with this subject; with * at its end all that begin so."),
};

/** Names that agents try for them. */
export const chosenAliases = { type: "types", event_types: "types", prefix: "types" } as const;

/** A cursor, such as `1f3a9c0b22-e7`; cursor.ts judges it. */
export const cursorArgument = z.string().min(1).max(64);

/** A time as a caller gives it. */
export const timeArgument = z.iso.datetime({
  offset: true,
  error: "must be a time as of RFC 3339, such as 2026-11-29T16:31:00Z",
});
