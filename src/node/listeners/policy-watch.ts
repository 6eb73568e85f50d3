// Follows the policy file: a valid change takes effect within two seconds, an invalid one keeps the old policy and
// raises a condition (security.md 6).

import { lstatSync } from "node:fs";
import type { Access } from "../../access/access.ts";
import { loadPolicyFile } from "../../access/policy-file.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import type { Conditions } from "../../observe/conditions.ts";

const POLL_MS = 1_000;

export interface PolicyWatchOptions {
  path: string;
  capability: string;
  access: Access;
  conditions: Conditions;
  /** Called when rights may have changed, so that open streams and lists are judged again. */
  onChange: () => void;
}

/** A policy file that is followed. */
export interface PolicyWatch {
  /** Reads the file now, whether it changed or not. */
  reload(): void;
  stop(): void;
}

/**
 * Reads the file at once, then follows it. Fault `policy_invalid` for the first reading, so that a node never starts
 * without its policy.
 */
export function watchPolicy(options: PolicyWatchOptions): PolicyWatch {
  const { path, capability, access, conditions } = options;
  let seen = fingerprint(path);
  const use = (): void => {
    const policy = loadPolicyFile(path, capability);
    access.usePolicy(policy);
    const problem = policy.problems[0];
    if (problem === undefined) conditions.clear("policy_invalid");
    else conditions.raise("policy_invalid", problem);
  };
  const reload = (): void => {
    seen = fingerprint(path);
    try {
      use();
    } catch (error) {
      conditions.raise("policy_invalid", reasonOf(error));
      return;
    }
    options.onChange();
  };
  use();
  const timer = setInterval(() => fingerprint(path) !== seen && reload(), POLL_MS);
  timer.unref();
  return { reload, stop: () => clearInterval(timer) };
}

function fingerprint(path: string): string {
  const found = lstatSync(path, { throwIfNoEntry: false });
  return found === undefined
    ? "missing"
    : [found.ino, found.size, found.mtimeMs, found.ctimeMs, found.mode, found.uid].join(":");
}
