// Asks the node for a step of a transfer of a blob, again where it may succeed later: each step may be repeated.

import { FAULTS, Fault } from "../../lib/fault.ts";
import { pause } from "../../lib/pause.ts";
import { backoffMs } from "../../lib/retry.ts";
import { askNode } from "../client.ts";
import type { Invocation } from "../command.ts";

/** Time limit of one step in ms: a part over a slow line, or the wait for copies. */
const STEP_MS = 120_000;
/** A step that cannot be done is tried so often, within about a minute. */
const TRIES = 8;
const WAIT = { firstMs: 500, lastMs: 15_000 };

/** How patient a step is. */
export interface Patience {
  /** No more tries after this, in ms of `performance.now()`. Default: there is no such time. */
  untilMs?: number;
  /** Called with each Fault after which the step is tried again. */
  onRetry?(fault: Fault): void;
}

/** Returns the output of an operation. Throws its Fault where it cannot be done, or not for a minute. */
export async function askPatiently(
  invocation: Invocation,
  operation: string,
  input: Record<string, unknown>,
  { untilMs = Number.POSITIVE_INFINITY, onRetry }: Patience = {},
): Promise<Record<string, unknown>> {
  for (let tries = 1; ; tries += 1) {
    try {
      return (await askNode(invocation, operation, input, { answerMs: STEP_MS })).body;
    } catch (error) {
      const mayPass = error instanceof Fault && FAULTS[error.code].retryable && error.code !== "storage_full";
      if (!mayPass || tries >= TRIES || performance.now() >= untilMs) throw error;
      onRetry?.(error);
      await pause(backoffMs(tries, WAIT));
    }
  }
}
