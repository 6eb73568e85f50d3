// The manifest of scheduled backups. Every full member backs up its own store, whether or not it leads.

import type { Feature } from "../../operation/feature.ts";
import { backupCommands } from "./commands.ts";
import { backupConditions } from "./conditions.ts";
import { openBackups } from "./open-backups.ts";
import { BACKUPS, backupOperations } from "./operations.ts";
import { backupSettingTable } from "./settings.ts";

/** Scheduled backups. They replicate nothing. */
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
