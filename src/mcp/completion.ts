// Completion of arguments as the protocol has it.

import type { CompleteResult } from "@modelcontextprotocol/server";
import type { Invoker } from "../operation/invoke.ts";
import type { Completion, Typed } from "../operation/mcp-parts.ts";
import { type Asking, askBy } from "./ask.ts";
import { asProtocolError } from "./errors.ts";

/** The protocol allows no more values in one completion. */
const MAX_COMPLETIONS = 100;

/** Returns the completion of an argument that has none. */
export function noCompletion(): CompleteResult {
  return { completion: { values: [], hasMore: false } };
}

/** Returns suggestions for what was typed. Rejects with a ProtocolError. */
export async function complete(
  invoker: Invoker,
  asking: Asking,
  completion: Completion,
  typed: Omit<Typed, "limit">,
): Promise<CompleteResult> {
  try {
    const { values, hasMore } = await askBy(invoker, asking, completion, { ...typed, limit: MAX_COMPLETIONS });
    return { completion: { values: values.slice(0, MAX_COMPLETIONS), hasMore } };
  } catch (error) {
    throw asProtocolError(error);
  }
}
