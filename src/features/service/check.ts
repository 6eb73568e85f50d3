// One check of a copy on its own member: a program, or a path on 127.0.0.1.

import { connectionReason, reasonOf } from "../../lib/reason-of.ts";
import { type ProcessSpec, runProcess } from "../process/index.ts";
import type { CheckShape } from "./declared.ts";
import { fetchLoopback } from "./loopback.ts";

/** Longest time of one check, in ms. */
const CHECK_MS = 5000;
/** How long a program of a check has between SIGTERM and SIGKILL, in ms. */
const GRACE_MS = 1000;

/** Returns why a copy is not well; undefined: it is. `specOf`: what a program of it is run with. */
export async function problemBy(
  { argv, http, port: own }: CheckShape,
  port: number | undefined,
  specOf: (argv: readonly string[]) => ProcessSpec,
  signal: AbortSignal,
): Promise<string | undefined> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(CHECK_MS)]);
  try {
    if (argv !== undefined) {
      const { end } = await runProcess(specOf(argv), { timeoutMs: CHECK_MS, signal, graceMs: GRACE_MS });
      if (end.cause === "exited" && end.code === 0) return undefined;
      return `${argv[0]} ended with ${end.cause === "exited" ? `the exit code ${end.code ?? end.signal}` : end.cause}`;
    }
    const response = await fetchLoopback(own ?? port ?? 0, http ?? "/", { method: "GET", signal: within });
    await response.body?.cancel();
    return response.ok ? undefined : `${http} answers with the status ${response.status}`;
  } catch (error) {
    signal.throwIfAborted();
    if (within.aborted) return `${http} did not answer within ${CHECK_MS} ms`;
    return argv === undefined ? `${http} on port ${own ?? port}: ${connectionReason(error)}` : reasonOf(error);
  }
}
