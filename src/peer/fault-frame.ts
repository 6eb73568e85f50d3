// A fault as one node answers it to another: `{fault: {code, message, hint, details}}`, the details as JSON text.

import { z } from "zod";
import { type Fault, readFault, writeFault } from "../lib/fault.ts";
import { parseObject } from "../lib/json-object.ts";

const faultFrame = z.object({
  fault: z.object({
    code: z.string().max(64),
    message: z.string().max(10_000),
    hint: z.string().max(10_000),
    details: z.string().max(100_000),
  }),
});

/** Returns the value of the frame that answers a call with a fault. */
export function faultValue(fault: Fault): z.input<typeof faultFrame> {
  const { details, hint = "", ...rest } = writeFault(fault);
  return { fault: { ...rest, hint, details: JSON.stringify(details) } };
}

/**
 * Returns the fault that a peer answered, or undefined for a value that is none. It says the same words and shows the
 * same details, and has `fromPeer`; facts that only this node may know stay unset whatever the peer wrote.
 */
export function faultOfValue(value: unknown): Fault | undefined {
  const parsed = faultFrame.safeParse(value);
  if (!parsed.success) return undefined;
  const { details, hint, ...rest } = parsed.data.fault;
  return readFault(
    { ...rest, hint: hint === "" ? undefined : hint, details: parseObject(details) },
    { fromPeer: true },
  );
}
