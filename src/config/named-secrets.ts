// Secrets that declarations name as `secret:NAME`: read on the node that uses them, from a variable, a file or a
// systemd credential, in a name space of their own, so that no declaration can name a secret of the node itself.

import { Fault } from "../lib/fault.ts";
import type { Environment } from "./environment.ts";
import { SECRET_REFERENCE, SECRET_VARIABLE } from "./secret-reference.ts";
import { readSecret } from "./secrets.ts";

/**
 * Returns the value behind `secret:NAME`. Throws Fault `config_invalid`, which names the variable and never a value.
 */
export function namedSecret(reference: string, env: Environment): string {
  const name = SECRET_REFERENCE.exec(reference)?.[1];
  if (name === undefined) throw new Fault("config_invalid", `${JSON.stringify(reference)} is no reference to a secret`);
  const variable = `${SECRET_VARIABLE}${name}`;
  const value = readSecret(variable, env);
  if (value !== undefined) return value;
  throw new Fault("config_invalid", `${reference} is not set on this node, which reads it from ${variable}`, {
    hint: `Set ${variable}, or ${variable}_FILE to the path of a file, or the systemd credential ${variable}, on every full node, and restart them.`,
  });
}
