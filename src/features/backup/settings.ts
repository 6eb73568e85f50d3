// Settings of scheduled backups.

import { path, text } from "../../config/setting.ts";
import { bucketShape, endpointShape, keepShape, prefixShape, regionShape } from "../../config/shapes.ts";

/** When backups are made, where they are stored, and how many are kept. */
export const backupSettingTable = {
  "backup.schedule": text(
    "daily",
    "CRON",
    "When to back up the store: daily (at night, each node at a minute of its own), a cron expression in local time such as 0 3 * * *, or off.",
  ),
  "backup.folder": path("DIR", "Folder for scheduled backups. Default: backups in the data folder."),
  "backup.keep": text(
    "7d,4w,6m",
    "RULE",
    "Scheduled backups to keep: the newest of each of so many days, weeks and months. The newest of all is always kept.",
    keepShape,
  ),
  "backup.s3_url": text(
    undefined,
    "URL",
    "S3-compatible service to which scheduled backups are uploaded too, such as https://s3.eu-central-1.amazonaws.com.",
    endpointShape,
  ),
  "backup.s3_bucket": text(undefined, "NAME", "Name of the bucket; required with backup.s3_url.", bucketShape),
  "backup.s3_prefix": text(undefined, "PATH", "Prefix of object names, such as fleet/home.", prefixShape),
  "backup.s3_region": text("us-east-1", "REGION", "Region in signatures; many services expect auto.", regionShape),
} as const;
