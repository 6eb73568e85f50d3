// The frame of a forwarded call and of its answer. Input and output travel as JSON text, so that the JSON reader alone
// judges depth, digits and unusual keys; a caller travels as its id alone.

import { z } from "zod";
import { AGENT_KEY } from "../lib/agent-key.ts";
import { MAX_CLIENT } from "../lib/client-claim.ts";
import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { MAX_JSON_DEPTH, parseJson } from "../lib/json-text.ts";
import { keepNumbers } from "../lib/json-value.ts";
import { MAX_TRACESTATE, parseTrace, TRACEPARENT, type TraceContext, traceMembers } from "../lib/trace-context.ts";
import type { Answer } from "./answer.ts";
import type { ForwardCall } from "./routing.ts";

/** The request frame of the peer path `forward`. */
export const forwardFrame = z.strictObject({
  operation: z.string().min(1).max(64),
  input: z.string(),
  /** StableNodeID of the caller's device, or `local`, `local:bridge`, `local:dev` of the forwarding node. */
  caller: z.string().min(1).max(128),
  /** The caller asked for a read-only connection. */
  readOnly: z.boolean(),
  /** Idempotency key that the forwarding node made for a write; a key of the caller is part of the input. */
  nodeKey: z
    .string()
    .regex(/^forward-[0-9a-f-]{36}$/)
    .optional(),
  /** What the client of the caller said of itself; from a fleet level on, which all that can lead know then. */
  client: z.string().min(1).max(MAX_CLIENT).optional(),
  /** Key of the agent as which the caller acts, which this node looks up again; from that fleet level on. */
  agent: z.string().regex(AGENT_KEY).optional(),
  /** The span of the forwarding node (W3C Trace Context); from that fleet level on. */
  traceparent: z.string().regex(TRACEPARENT).optional(),
  tracestate: z.string().max(MAX_TRACESTATE).optional(),
});

/** A parsed request frame. */
export type ForwardFrame = z.output<typeof forwardFrame>;

const answerFrame = z.object({
  output: z.string(),
  position: z.string().regex(/^[0-9a-f]{10}-[0-9]{1,15}$/),
  /** How old the state that was read may be; left out where that is not proved, and for a write. */
  ageSeconds: z.number().min(0).optional(),
});

/** Returns the frame of a call. */
export function encodeCall(call: ForwardCall): ForwardFrame {
  const { operation, input, caller, nodeKey, client, agentKey, trace } = call;
  return {
    operation,
    input: JSON.stringify(input),
    caller: caller.id,
    readOnly: caller.readOnly === true,
    ...(nodeKey === undefined ? {} : { nodeKey }),
    ...(client === undefined ? {} : { client }),
    ...(agentKey === undefined ? {} : { agent: agentKey }),
    ...(trace === undefined ? {} : traceMembers(trace)),
  };
}

/** Returns what the call in a frame is part of. */
export function traceIn({ traceparent, tracestate }: ForwardFrame): TraceContext | undefined {
  return parseTrace(traceparent, tracestate);
}

/** The input was within the bounds of JSON where it came in; texts in it may have been taken for what they hold. */
const MAX_INPUT_DEPTH = 2 * MAX_JSON_DEPTH;

/**
 * Returns the input of a frame. It is judged like that of any call, since a member may send anything. Throws Fault
 * `invalid_input`.
 */
export function decodeInput({ input }: ForwardFrame): unknown {
  return keepNumbers(input, parseJson(input, "The input of a forwarded call", MAX_INPUT_DEPTH));
}

/** Returns the frame of an answer. */
export function encodeAnswer({ output, position, ageSeconds }: Answer): z.input<typeof answerFrame> {
  return { output: JSON.stringify(output), position, ...(ageSeconds === undefined ? {} : { ageSeconds }) };
}

/** Returns the answer in a frame. Throws Fault `internal` if it is not one. */
export function decodeAnswer(value: unknown): Answer {
  const parsed = answerFrame.safeParse(value);
  const output = parsed.success ? decodeOutput(parsed.data.output) : undefined;
  if (!parsed.success || output === undefined) {
    throw new Fault("internal", "A node of the fleet sent an answer that cannot be read", {
      hint: "Run the same version of cairn on all nodes of the fleet.",
    });
  }
  const { position, ageSeconds } = parsed.data;
  return { output, position, ...(ageSeconds === undefined ? {} : { ageSeconds }) };
}

function decodeOutput(text: string): Record<string, unknown> | undefined {
  try {
    const value = keepNumbers(text, JSON.parse(text));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
