// The examples of docs/operations.md, in an order in which each finds what it needs.

import { OPERATIONS } from "../../src/features/index.ts";
import type { Operation } from "../../src/operation/define.ts";

/** One call of an operation. */
export interface ExampleCall {
  name: string;
  example: Record<string, unknown>;
}

/** Returns the example of every operation that callers may name: what writes, then what reads, then what destroys. */
export function exampleCalls(): ExampleCall[] {
  return OPERATIONS.filter((operation) => operation.kind !== "write" || operation.internal !== true)
    .toSorted((a, b) => rankOf(a) - rankOf(b))
    .map(({ name, example = {} }) => ({ name, example }));
}

function rankOf({ kind, hints }: Operation): number {
  if (hints?.destructive === true) return 2;
  return kind === "write" ? 0 : 1;
}
