// Opens the scheduled backups of a node from its settings: schedule, folder, bucket, and how a copy is made and
// checked.

import { join } from "node:path";
import type { Secrets } from "../../config/secrets.ts";
import { valuesOf } from "../../config/setting.ts";
import type { Settings } from "../../config/settings.ts";
import { Fault } from "../../lib/fault.ts";
import type { Log } from "../../log/log.ts";
import { parsePosition } from "../../log/position.ts";
import { logFor } from "../../observe/logging.ts";
import { HOST, LOG, NODE } from "../../operation/node-parts.ts";
import type { Services } from "../../operation/services.ts";
import { Backups, storeBytesOf } from "./backups.ts";
import { Bucket } from "./bucket.ts";
import { backupConditions } from "./conditions.ts";
import { checkInChild, copyInChild } from "./copy-process.ts";
import { parseRetention } from "./retention.ts";
import { S3 } from "./s3.ts";
import { parseSchedule } from "./schedule.ts";
import { backupSettingTable } from "./settings.ts";

/** Returns the backups of a node, not started. Throws Fault `config_invalid`. */
export function openBackups(node: Services): Backups {
  const { settings, store, conditions, nowMs } = node.get(NODE);
  const own = valuesOf(backupSettingTable, settings);
  const { secrets, env, command, outbound } = node.get(HOST);
  const { schedule, s3 } = backupSettings(settings, secrets);
  const child = { command: command ?? [], dataDir: settings.data, env };
  const bucket = (maker: string): Bucket | undefined =>
    s3 && new Bucket({ s3: new S3({ ...s3, outbound, nowMs }), prefix: own["backup.s3_prefix"], maker });
  return new Backups({
    dataDir: settings.data,
    folder: own["backup.folder"] ?? join(settings.data, "backups"),
    hostname: settings.hostname,
    schedule: (maker) => (command === undefined ? undefined : schedule(maker)),
    keep: parseRetention(own["backup.keep"]),
    bucket,
    copy: (to, signal) => copyInChild(child, to, signal),
    check: (folder, signal) => checkInChild(child, folder, signal),
    storeBytes: () => storeBytesOf(store.path),
    hashAt: (position) => hashAt(node.get(LOG), position),
    isOfFleet: (position) => node.get(LOG).sameHistory({ ...parsePosition(position), seq: 0 }),
    conditions: conditions.of(backupConditions),
    log: logFor("backup"),
    nowMs,
  });
}

/** Returns schedule and bucket as the settings say. Throws Fault `config_invalid` if they are wrong or incomplete. */
export function backupSettings(settings: Settings, secrets: Secrets) {
  const own = valuesOf(backupSettingTable, settings);
  const schedule = (maker: string) => parseSchedule(own["backup.schedule"], maker);
  // Refuses an invalid schedule at the start; the maker id is not known yet.
  schedule("");
  const endpoint = own["backup.s3_url"];
  const bucket = own["backup.s3_bucket"];
  if (endpoint === undefined && bucket === undefined) return { schedule, s3: undefined };
  const missing =
    endpoint === undefined
      ? "backup.s3_url is"
      : bucket === undefined
        ? "backup.s3_bucket is"
        : "CAIRN_S3_ACCESS_KEY_ID and CAIRN_S3_SECRET_ACCESS_KEY are";
  if (endpoint === undefined || bucket === undefined || secrets.s3 === undefined) {
    throw new Fault("config_invalid", `The settings of the backup bucket are incomplete: ${missing} missing`, {
      hint: "Set backup.s3_url, backup.s3_bucket and both keys, or none of them.",
    });
  }
  return { schedule, s3: { endpoint, bucket, region: own["backup.s3_region"], keys: secrets.s3 } };
}

/** Returns the chain hash (hex) at a position; undefined for another history, or if the change is no longer kept. */
function hashAt(log: Log, text: string): string | undefined {
  const position = parsePosition(text);
  if (!log.sameHistory(position)) return undefined;
  const hash = log.hashAt(position.seq);
  return hash && Buffer.from(hash).toString("hex");
}
