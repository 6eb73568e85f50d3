// What a node runs of a declared program: its environment with secrets, its account and limits.

import type { Environment } from "../../config/environment.ts";
import { namedSecret } from "../../config/named-secrets.ts";
import { registerSecret } from "../../observe/redact.ts";
import type { ProgramFields } from "../../operation/program-fields.ts";
import { environmentFor, type ProcessSpec } from "./launch.ts";

/** Returns the value of `secret:NAME`. Throws Fault `config_invalid`. */
export type ReadSecret = (reference: string) => string;

/** Returns the function that reads secrets of this node, and keeps their values out of logs and outputs. */
export function secretsOf(env: Environment): ReadSecret {
  return (reference) => {
    const value = namedSecret(reference, env);
    registerSecret(value);
    return value;
  };
}

/** What is run of it, and where. */
export interface ProgramStart {
  argv: readonly string[];
  cwd: string;
  /** Variables beside those that are declared. */
  values: Readonly<Record<string, string>>;
}

/** Returns what a program is run with. Throws the Faults of `readSecret` and `environmentFor`. */
export function specOf(
  { user, environment, secrets, limits }: ProgramFields,
  { argv, cwd, values }: ProgramStart,
  { env, readSecret }: { env: Environment; readSecret: ReadSecret },
): ProcessSpec {
  const read = Object.entries(secrets).map(([name, reference]) => [name, readSecret(reference)]);
  const given = { names: environment, values: { ...Object.fromEntries(read), ...values } };
  return {
    argv,
    env: environmentFor(env, { ...given, ...(user === undefined ? {} : { user }) }),
    cwd,
    user,
    limits: { memoryBytes: limits.memory_bytes, processes: limits.processes, cpus: limits.cpus },
  };
}
