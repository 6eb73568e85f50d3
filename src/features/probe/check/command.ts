// A check by a command: a program of this machine that the node agrees to run, its exit code, and what it writes.

import { redactText } from "../../../observe/redact.ts";
import type { ProbeShape } from "../declared.ts";
import { bodyProblem, latencyProblem, measured } from "./http.ts";
import type { CheckParts, Found } from "./parts.ts";

const SECRET = /^secret:/;

/** Runs the command. Rejects where it cannot be run. */
export async function checkCommand(probe: ProbeShape, parts: CheckParts, signal: AbortSignal): Promise<Found> {
  const { command = [], environment = {}, expect, timeout } = probe;
  const values = Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [name, SECRET.test(value) ? parts.readSecret(value) : value]),
  );
  const { code, stdout, stderr, latencyMs } = await parts.run(command, values, timeout * 1000, signal);
  signal.throwIfAborted();
  const wanted = expect.exit_code ?? 0;
  const value = measured(probe, stdout);
  // A line of a secret is not known as one.
  const said = redactText(stderr).trim().split("\n").at(-1) ?? "";
  const ended = code === undefined ? "a signal ended it" : `exit code ${code}`;
  const problem =
    (code === wanted ? undefined : `${ended}; expected is ${wanted}${said === "" ? "" : `: ${said}`}`) ??
    bodyProblem(probe, stdout) ??
    (typeof value === "string" ? value : undefined) ??
    latencyProblem(probe, latencyMs);
  return {
    ...{ good: problem === undefined, reached: true, detail: problem ?? ended, latencyMs },
    value: typeof value === "number" ? value : undefined,
  };
}
