// Finds settings that a start would refuse, without starting: limits that cannot be read, a policy file that cannot be
// used, an OAuth secret without tags; and says which secrets that settings name are not there.

import { loadPolicyFile } from "../access/policy-file.ts";
import type { Environment } from "../config/environment.ts";
import type { Loaded } from "../config/load.ts";
import { namedSecret } from "../config/named-secrets.ts";
import { SECRET_REFERENCE } from "../config/secret-reference.ts";
import type { Secrets } from "../config/secrets.ts";
import { refuseUntagged } from "../config/tailnet-settings.ts";
import { groupId } from "../datadir/index.ts";
import { backupSettings } from "../features/backup/index.ts";
import { chatServiceOf } from "../features/context/index.ts";
import { embeddingsOf } from "../features/search/index.ts";
import { Fault } from "../lib/fault.ts";
import { writeLimitsOf } from "../operation/fleet-settings.ts";
import { refuseTraceSettings } from "./tracing.ts";

/** Returns warnings about settings that can be used. Faults: `config_invalid`, `policy_invalid`. */
export function checkSettings(settings: Loaded["settings"], secrets: Secrets, env: Environment): string[] {
  writeLimitsOf(settings);
  backupSettings(settings, secrets);
  embeddingsOf(settings);
  chatServiceOf(settings);
  refuseTraceSettings(settings, env);
  refuseUntagged(settings, secrets);
  const group = settings["cli.group"];
  if (group !== undefined) groupId(group);
  const policyFile = settings["access.policy_file"];
  const policy = policyFile === undefined ? [] : loadPolicyFile(policyFile, settings["access.capability"]).problems;
  return [...withoutNats(settings), ...missingSecrets(settings, env), ...policy];
}

function withoutNats(settings: Loaded["settings"]): string[] {
  if (settings["events.log"] !== "jetstream" || settings["events.nats_url"] !== "none") return [];
  return [
    "events.log is jetstream, and events.nats_url is not set: a new fleet keeps its events itself until an admin sets it",
  ];
}

/** A node starts without these: its fleet may have other settings, and an edge needs none of them. */
function missingSecrets(settings: Loaded["settings"], env: Environment): string[] {
  return (["events.nats_credentials", "events.nats_ca"] as const).flatMap((key) => {
    const reference = settings[key];
    if (!SECRET_REFERENCE.test(reference)) return [];
    try {
      namedSecret(reference, env);
      return [];
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return [`${key}: ${error.message}; until it is set the node cannot use events in NATS`];
    }
  });
}
