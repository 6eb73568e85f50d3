// Shapes that the writes of contexts share: title and tags, their output, other names of arguments.

import { z } from "zod";

const line = (max: number) =>
  z
    .string()
    .max(max)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
    .regex(/^[^\u0000-\u001f\u007f-\u009f]*$/, "must not contain control characters")
    .refine((text) => text.isWellFormed(), "must be well-formed Unicode");

/** Title of a context. */
export const title = line(200);
/** Tags of a context. */
export const tags = z.array(line(64).min(1)).max(32);

/** Output of a write that makes a version. */
export const writtenOutput = z.object({
  id: z.string(),
  version: z.number().int(),
  etag: z.string().describe("Pass it as if_match when you write again."),
  created: z.boolean(),
  content_type: z.string().optional().describe("As what it is stored."),
  updated_at: z.string(),
});

/** Names that agents try for `if_match`. */
export const conditionAliases = { etag: "if_match", expected_etag: "if_match" } as const;
