// Where a target is, and the secrets it needs: by reference alone, so that neither the log nor an answer has one.

import type { Environment } from "../../../../config/environment.ts";
import { namedSecret } from "../../../../config/named-secrets.ts";
import { SECRET_REFERENCE } from "../../../../config/secret-reference.ts";
import { Fault } from "../../../../lib/fault.ts";
import { registerSecret } from "../../../../observe/redact.ts";
import { isPlainUrl } from "./declared.ts";

/** Reads secrets of this node. */
export type ReadSecret = (reference: string) => string;

/** Returns the function that reads the secrets of a node's environment, and keeps them out of its log lines. */
export function secretsOf(env: Environment): ReadSecret {
  return (reference) => {
    const value = namedSecret(reference, env);
    registerSecret(value);
    return value;
  };
}

/** Returns the URL of a target. Throws Fault `config_invalid`, which does not show it where it is a secret. */
export function urlOf(written: string, readSecret: ReadSecret): URL {
  if (!SECRET_REFERENCE.test(written)) return new URL(written);
  const text = readSecret(written);
  if (isPlainUrl(text)) return new URL(text);
  throw new Fault("config_invalid", `${written} is no URL`, { hint: "It should be https://… as the service gave it." });
}
