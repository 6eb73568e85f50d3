// The settings of scheduled backups.

import { text } from "../../config/setting.ts";
import { bucketShape, endpointShape, keepShape, prefixShape, regionShape } from "../../config/shapes.ts";

/** When backups are made, where they are kept and for how long. */
export const backupSettingTable = {
  "backup.schedule": text(
    "daily",
    "CRON",
    "When the store is backed up: daily (in the night, at a minute of this node's own), a cron text in local time such as 0 3 * * *, or off.",
  ),
  "backup.folder": text(undefined, "DIR", "Folder for scheduled backups; without it backups in the data folder."),
  "backup.keep": text(
    "7d,4w,6m",
    "RULE",
    "Scheduled backups that stay: the newest of so many days, weeks and months; the newest of all stays always.",
    keepShape,
  ),
  "backup.s3_url": text(
    undefined,
    "URL",
    "S3-compatible service that scheduled backups are sent to as well, such as https://s3.eu-central-1.amazonaws.com.",
    endpointShape,
  ),
  "backup.s3_bucket": text(undefined, "NAME", "Bucket there; with backup.s3_url it must be named.", bucketShape),
  "backup.s3_prefix": text(undefined, "PATH", "What object names begin with, such as fleet/home.", prefixShape),
  "backup.s3_region": text("us-east-1", "REGION", "Region that signatures name; many services want auto.", regionShape),
} as const;
