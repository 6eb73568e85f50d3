// What other folders may use of scheduled backups: the manifest, its settings, and what a node reports.

export { backupFeature } from "./feature.ts";
export { backupSettings } from "./open-backups.ts";
export { BACKUPS, type BackupReport, reportOf } from "./operations.ts";
export { backupSettingTable } from "./settings.ts";
