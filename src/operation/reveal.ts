// Secrets that a write gives to its caller alone (`reveals` of a write): drawn on the node that takes the call.
// The log and other nodes know their hash. No idempotency key stands for them, so an answer to a retry may lack one.

import { agentKeyOf } from "../lib/agent-key.ts";
import { newHandle } from "../lib/new-handle.ts";
import type { AnyWrite } from "./define.ts";

/** What is put into a call, and what is made of its answer. */
export interface Drawn {
  /** The arguments that the call gets besides its own. */
  arguments: Record<string, string>;
  /** The key that the answer has to name. */
  key: string;
  /** Returns the answer for the caller. */
  answer(output: Record<string, unknown>): Record<string, unknown>;
}

/** Draws the secret of a write, unless its caller has one of its own and gave the key. */
export function drawSecret({ reveals }: AnyWrite, input: Readonly<Record<string, unknown>>): Drawn | undefined {
  if (reveals === undefined) return undefined;
  const given = input[reveals.argument];
  const secret = typeof given === "string" ? undefined : newHandle();
  const key = typeof given === "string" ? given : agentKeyOf(secret);
  return {
    arguments: { [reveals.argument]: key },
    key,
    answer: ({ [reveals.argument]: written, ...output }) => {
      if (written !== key) return { ...output, note: reveals.lost };
      return secret === undefined ? output : { ...output, [reveals.output]: secret };
    },
  };
}

/** Returns the arguments for which an idempotency key stands. */
export function askedInput({ reveals }: AnyWrite, input: Record<string, unknown>): Record<string, unknown> {
  if (reveals === undefined) return input;
  const { [reveals.argument]: _, ...asked } = input;
  return asked;
}
