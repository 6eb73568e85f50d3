// Health conditions of scheduled backups.

import type { ConditionTable } from "../../observe/conditions.ts";

/** By code. */
export const backupConditions = {
  backup_failed: {
    title: "Backup failed",
    severity: "warning",
    hint: "Fix what the text names. cairn tries again within an hour, `cairn backup now` at once.",
  },
  backup_old: {
    title: "Backup too old",
    severity: "warning",
    hint: "See `cairn backup list`; make one with `cairn backup now`.",
  },
} as const satisfies ConditionTable;
