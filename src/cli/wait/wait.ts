// cairn wait: waits until a node is as wanted. A node that does not run yet, or cannot be reached, is waited for too.

import { FAULTS, Fault } from "../../lib/fault.ts";
import { Backoff } from "../../lib/retry.ts";
import { type Command, countOption, type Invocation } from "../command.ts";
import { INTERRUPTED_EXIT, NEGATIVE_EXIT, TERMINATED_EXIT } from "../exit.ts";
import { say, showResult } from "../output.ts";
import { missingNow, type Wanted, wantedBy } from "./conditions.ts";

const DEFAULT_SECONDS = 60;
/** The node is asked again after this long. */
const ASK = { firstMs: 100, lastMs: 500, jitter: 0.2 };
/** Longest and shortest time for one answer, in ms; between them it is what is left of the wait. */
const ANSWER_MS = { most: 10_000, least: 2_000 };

const EXITS = [
  ["SIGINT", INTERRUPTED_EXIT],
  ["SIGTERM", TERMINATED_EXIT],
  ["SIGHUP", TERMINATED_EXIT],
] as const;

/** `cairn wait`. */
export const wait: Command = {
  words: ["wait"],
  summary: "wait until a node takes calls, or is as the options say; exits 3 when it is not in time",
  more: `Several options must all hold at one moment. A node that is not started yet is waited for.
Examples:
  cairn wait && cairn context ls
  cairn wait --leader --member berlin --timeout 120
  cairn wait --position 3f9a0c12be-42
  cairn wait --without disk_full --timeout 600`,
  options: [
    { flags: "--ready", help: "until the node takes calls (default, where no other option is given)" },
    { flags: "--leader", help: "until a leader is known" },
    {
      flags: "--member <name>",
      help: "until this member of the fleet serves; may be given several times",
      repeated: true,
    },
    { flags: "--position <position>", help: "until the node has applied this position" },
    {
      flags: "--without <code>",
      help: "until this condition does not hold, such as disk_full; may be given several times",
      repeated: true,
    },
    { flags: "--timeout <seconds>", help: `how long to wait; 0 looks once (default ${DEFAULT_SECONDS})` },
  ],
  asksNode: true,
  async run(invocation) {
    const seconds = countOption(invocation, "timeout", "--timeout") ?? DEFAULT_SECONDS;
    const wanted = wantedBy(invocation);
    const end = new AbortController();
    let interrupted: number | undefined;
    const listeners = EXITS.map(([signal, exit]) => {
      const listener = () => {
        interrupted ??= exit;
        end.abort(new Fault("cancelled", `The wait was ended by ${signal}`));
      };
      process.on(signal, listener);
      return [signal, listener] as const;
    });
    const startMs = performance.now();
    try {
      const missing = await waitFor(invocation, wanted, { timeoutMs: seconds * 1000, signal: end.signal });
      const waited_ms = Math.round(performance.now() - startMs);
      await showResult(invocation, { schema: 1, met: missing.length === 0, missing, waited_ms }, "");
      if (missing.length === 0) return 0;
      say(`not so ${seconds === 0 ? "now" : `within ${seconds} s`}: ${missing.join("; ")}`);
      return NEGATIVE_EXIT;
    } catch (error) {
      if (interrupted !== undefined) return interrupted;
      throw error;
    } finally {
      for (const [signal, listener] of listeners) process.off(signal, listener);
    }
  },
};

/**
 * Asks until everything holds or the time is over, and returns what is missing. Throws the Fault of a node that will
 * not answer otherwise, and the reason of the signal.
 */
export async function waitFor(
  invocation: Invocation,
  wanted: Wanted,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
): Promise<readonly string[]> {
  const endMs = performance.now() + timeoutMs;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), timeoutMs);
  const backoff = new Backoff(ASK);
  try {
    for (;;) {
      const missing = await lookOnce(invocation, wanted, {
        answerMs: Math.min(ANSWER_MS.most, Math.max(ANSWER_MS.least, endMs - performance.now())),
        signal,
      });
      if (missing.length === 0 || performance.now() >= endMs) return missing;
      // The last look is at the end of the time.
      await backoff.wait(AbortSignal.any([signal, late.signal])).catch(() => signal.throwIfAborted());
    }
  } finally {
    clearTimeout(timer);
  }
}

async function lookOnce(
  invocation: Invocation,
  wanted: Wanted,
  options: { answerMs: number; signal: AbortSignal },
): Promise<readonly string[]> {
  try {
    return await missingNow(invocation, wanted, options);
  } catch (error) {
    options.signal.throwIfAborted();
    if (error instanceof Fault && FAULTS[error.code].retryable) return [error.message];
    throw error;
  }
}
