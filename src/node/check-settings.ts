// What a start would refuse of the settings, found without starting: limits that cannot be read, a policy file that cannot be used, a secret without its tags.

import { loadPolicyFile } from "../access/policy-file.ts";
import type { Loaded } from "../config/load.ts";
import type { Secrets } from "../config/secrets.ts";
import { Fault } from "../lib/fault.ts";
import { writeLimitsOf } from "./limits.ts";

/** Answers what is no failure but should be known. Faults: `config_invalid`, `policy_invalid`. */
export function checkSettings(settings: Loaded["settings"], secrets: Secrets): string[] {
  writeLimitsOf(settings);
  refuseUntagged(settings, secrets);
  const policyFile = settings["access.policy_file"];
  return policyFile === undefined ? [] : [...loadPolicyFile(policyFile, settings["access.capability"]).problems];
}

/** Throws Fault `config_invalid` for an OAuth client without tags: such nodes belong to no user. */
export function refuseUntagged(settings: Loaded["settings"], secrets: Secrets): void {
  if (secrets.clientSecret === undefined || settings.tags.length > 0) return;
  throw new Fault("config_invalid", "TS_CLIENT_SECRET needs tags, as such nodes belong to no user", {
    hint: "Set --tags tag:cairn (or CAIRN_TAGS).",
  });
}
