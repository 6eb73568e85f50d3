// The door of scheduled backups.

export { Backups, storeBytesOf } from "./backups.ts";
export { Bucket } from "./bucket.ts";
export { checkInChild, makeInChild } from "./child.ts";
export { type BackupReport, backupOperations, reportOf } from "./operations.ts";
export { parseKeep } from "./retention.ts";
export { type Outbound, S3 } from "./s3.ts";
export { parseSchedule } from "./schedule.ts";
