// A forwarded call and its answer as they stand in a frame: the caller by its id alone, input and output as JSON text, so that depth, digits and odd keys are the JSON reader's.

import { z } from "zod";
import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { keepNumbers } from "../lib/json-value.ts";
import type { Answer } from "./answer.ts";
import type { ForwardCall } from "./routing.ts";

/** The frame of the peer path `forward`. */
export const forwardFrame = z.strictObject({
  operation: z.string().min(1).max(64),
  input: z.string(),
  /** StableNodeID of the caller's device, or `local`, `local:bridge`, `local:dev` of the forwarding node. */
  caller: z.string().min(1).max(128),
  /** The connection is read-only by its caller's own wish. */
  readOnly: z.boolean(),
  /** Key of a write, made by the forwarding node; a key of the caller stands in the input. */
  nodeKey: z
    .string()
    .regex(/^forward-[0-9a-f-]{36}$/)
    .optional(),
});

/** A forwarded call, parsed. */
export type ForwardFrame = z.output<typeof forwardFrame>;

const answerFrame = z.object({ output: z.string(), position: z.string().regex(/^[0-9a-f]{10}-[0-9]{1,15}$/) });

/** The call as it is sent. */
export function wireOf({ operation, input, caller, nodeKey }: ForwardCall): ForwardFrame {
  return {
    operation,
    input: JSON.stringify(input),
    caller: caller.id,
    readOnly: caller.readOnly === true,
    ...(nodeKey === undefined ? {} : { nodeKey }),
  };
}

/** The input of a frame; Fault `invalid_input`. How deep it may be and what it may hold is judged as for any other call. */
export function inputOf({ input }: ForwardFrame): unknown {
  try {
    return keepNumbers(input, JSON.parse(input));
  } catch (cause) {
    throw new Fault("invalid_input", "The input of a forwarded call is not JSON", {
      hint: "Run the same version of cairn on all nodes of the fleet.",
      cause,
    });
  }
}

/** The answer as it is sent. */
export function answerValue({ output, position }: Answer): z.input<typeof answerFrame> {
  return { output: JSON.stringify(output), position };
}

/** The answer as it came; Fault `internal` when it is none. */
export function answerOf(value: unknown): Answer {
  const parsed = answerFrame.safeParse(value);
  const output = parsed.success ? objectOf(parsed.data.output) : undefined;
  if (!parsed.success || output === undefined) {
    throw new Fault("internal", "A node of the fleet sent an answer that cannot be read", {
      hint: "Run the same version of cairn on all nodes of the fleet.",
    });
  }
  return { output, position: parsed.data.position };
}

function objectOf(text: string): Record<string, unknown> | undefined {
  try {
    const value = keepNumbers(text, JSON.parse(text));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
