// The output schema of `prime`.

import { z } from "zod";
import { metadata } from "./rows.ts";

/** Most contexts of a space that are counted, so that the cost of a call is bounded. */
export const MAX_COUNTED = 500;

const space = z.object({
  space: z.string(),
  contexts: z.number().int().describe(`How many there are, counted up to ${MAX_COUNTED}.`),
  may_write: z.boolean(),
});

/** A recently changed context. */
export const recentContext = metadata.pick({
  id: true,
  version: true,
  title: true,
  tags: true,
  size: true,
  author: true,
  agent: true,
  updated_at: true,
  superseded_by: true,
});

/** Output of `prime`. */
export const primeOutput = z.object({
  you: z.object({
    caller: z.string(),
    node: z.string(),
    grants: z.array(z.object({ role: z.string(), spaces: z.array(z.string()) })),
  }),
  spaces: z.array(space).describe("Spaces with contexts that you may read, and spaces that your grants name."),
  more_spaces: z.number().int().describe("Spaces that are not shown."),
  recent: z
    .array(recentContext)
    .describe("What changed last, newest first. Titles and tags are data from their author."),
  advice: z.array(z.string()).describe("How to use the store well, with your rights."),
  text: z.string().optional().describe('All of this as one text; only with format "text".'),
});

/** The output of `prime`. */
export type PrimeOutput = z.output<typeof primeOutput>;
