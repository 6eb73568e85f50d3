// The manifest of scheduled backups: copies of this node's own store, made by a full member, whoever leads.

import type { Feature } from "../../operation/feature.ts";
import { backupCommands } from "./commands.ts";
import { backupConditions } from "./conditions.ts";
import { openBackups } from "./open-backups.ts";
import { BACKUPS, backupOperations } from "./operations.ts";
import { backupSettingTable } from "./settings.ts";

/** Scheduled backups. Nothing of them is replicated. */
export const backupFeature: Feature = {
  name: "backup",
  settings: backupSettingTable,
  conditions: backupConditions,
  commands: backupCommands,
  open: (node) => {
    node.provide(BACKUPS, openBackups(node));
  },
  operations: backupOperations,
  jobs: (node) => [node.get(BACKUPS)],
};
