// Arguments that every read that waits has, with the same bounds and words: how long, and after which position.

import { z } from "zod";
import { Fault } from "../lib/fault.ts";
import { DEFAULT_WAIT_SECONDS } from "./define.ts";

/** A position, such as `1f3a9c0b22-7`; `CallContext.reach` judges it. */
export const positionArgument = z.string().min(1).max(64);

/** The argument `timeout_seconds`. */
export const timeoutSeconds = z
  .number()
  .int()
  .min(0)
  .max(300)
  .optional()
  .describe(`How long to wait (default ${DEFAULT_WAIT_SECONDS}, at most 300); less than your client waits.`);

/** Throws Fault `invalid_input` where a stream has arguments of a single wait. */
export function refuseWaitArguments({ timeout_seconds, limit }: Readonly<Record<string, unknown>>): void {
  if (timeout_seconds === undefined && limit === undefined) return;
  throw new Fault("invalid_input", "A stream has no timeout_seconds and no limit", { hint: "Leave them out." });
}
