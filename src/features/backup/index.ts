// Scheduled backups as other rooms see them: the manifest, and what a node reports of them.

export { Backups, storeBytesOf } from "./backups.ts";
export { Bucket } from "./bucket.ts";
export { checkInChild, makeInChild } from "./child.ts";
export { backupConditions } from "./conditions.ts";
export { backupFeature } from "./feature.ts";
export { backupSettings } from "./open-backups.ts";
export { BACKUPS, type BackupReport, reportOf } from "./operations.ts";
export { parseKeep } from "./retention.ts";
export { S3 } from "./s3.ts";
export { parseSchedule } from "./schedule.ts";
export { backupSettingTable } from "./settings.ts";
