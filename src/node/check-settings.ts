// What a start would refuse of the settings, found without starting: limits that cannot be read, a policy file that cannot be used, a secret without its tags.

import { loadPolicyFile } from "../access/policy-file.ts";
import type { Loaded } from "../config/load.ts";
import type { Secrets } from "../config/secrets.ts";
import { Fault } from "../lib/fault.ts";
import { writeLimitsOf } from "./limits.ts";
import { backupSettings } from "./open-backups.ts";

/** Answers what is no failure but should be known. Faults: `config_invalid`, `policy_invalid`. */
export function checkSettings(settings: Loaded["settings"], secrets: Secrets): string[] {
  writeLimitsOf(settings);
  backupSettings(settings, secrets);
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

/** Throws Fault `config_invalid` unless the control server is plain HTTP on 127.0.0.1, where no real one is: what is allowed on a private tailnet is safe nowhere else. */
export function refuseRealControl(controlUrl: string | undefined): void {
  const { protocol, hostname } = URL.canParse(controlUrl ?? "") ? new URL(controlUrl ?? "") : new URL("none://none");
  if (protocol === "http:" && hostname === "127.0.0.1") return;
  throw new Fault(
    "config_invalid",
    `A private tailnet has its control server on 127.0.0.1, and control_url is ${JSON.stringify(controlUrl ?? "")}`,
    {
      hint: "Leave --private-tailnet out, or use `npm start` without a key, which starts such a control server.",
    },
  );
}
