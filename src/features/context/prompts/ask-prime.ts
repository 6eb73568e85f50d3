// Calls the operation `prime` for prompts, and completes space names with it.

import { z } from "zod";
import type { Completion, PromptContext } from "../../../operation/mcp-parts.ts";
import { MAX_SPACE } from "../context-id.ts";
import { prime } from "../prime.ts";

const primeResult = z.looseObject({
  text: z.string().optional(),
  spaces: z.array(z.object({ space: z.string(), may_write: z.boolean() })),
  more_spaces: z.number(),
  recent: z.array(z.object({ id: z.string() })),
});

/** The part of the output of `prime` that prompts use. */
export type PrimeResult = z.output<typeof primeResult>;

/** Calls `prime` as the caller. Rejects with its Fault. */
export async function askPrime(
  { ask }: PromptContext,
  input: { space?: string; format?: "text" },
): Promise<PrimeResult> {
  return primeResult.parse(await ask(prime.name, input));
}

/** Returns the argument `space` of a prompt that reads or writes there. */
export function spaceArgument(description: string, needs: "read" | "write") {
  return { name: "space", description, longest: MAX_SPACE, complete: completeSpaces(needs) };
}

/** Completes the names of spaces that the caller may read, or write to. */
function completeSpaces(needs: "read" | "write"): Completion {
  return {
    operation: prime.name,
    input: () => ({}),
    result: (output, { value }) => {
      const { spaces, more_spaces } = primeResult.parse(output);
      const usable = spaces.filter(({ may_write }) => needs === "read" || may_write).map(({ space }) => space);
      return { values: usable.filter((space) => space.startsWith(value)), hasMore: more_spaces > 0 };
    },
  };
}
