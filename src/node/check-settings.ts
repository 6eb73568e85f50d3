// Finds settings that a start would refuse, without starting: limits that cannot be read, a policy file that cannot be
// used, an OAuth secret without tags.

import { loadPolicyFile } from "../access/policy-file.ts";
import type { Loaded } from "../config/load.ts";
import type { Secrets } from "../config/secrets.ts";
import { refuseUntagged } from "../config/tailnet-settings.ts";
import { groupId } from "../datadir/index.ts";
import { backupSettings } from "../features/backup/index.ts";
import { chatServiceOf } from "../features/context/index.ts";
import { embeddingsOf } from "../features/search/index.ts";
import { writeLimitsOf } from "../operation/fleet-settings.ts";
import { refuseTraceSettings } from "./tracing.ts";

/** Returns warnings about settings that can be used. Faults: `config_invalid`, `policy_invalid`. */
export function checkSettings(settings: Loaded["settings"], secrets: Secrets): string[] {
  writeLimitsOf(settings);
  backupSettings(settings, secrets);
  embeddingsOf(settings);
  chatServiceOf(settings);
  refuseTraceSettings(settings);
  refuseUntagged(settings, secrets);
  const group = settings["cli.group"];
  if (group !== undefined) groupId(group);
  const policyFile = settings["access.policy_file"];
  return policyFile === undefined ? [] : [...loadPolicyFile(policyFile, settings["access.capability"]).problems];
}
