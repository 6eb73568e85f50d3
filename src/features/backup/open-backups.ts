// Opens the scheduled backups of a node: which settings make them, what a copy is checked against, and the way to a bucket.

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
import { checkInChild, makeInChild } from "./child.ts";
import { backupConditions } from "./conditions.ts";
import { parseKeep } from "./retention.ts";
import { S3 } from "./s3.ts";
import { parseSchedule } from "./schedule.ts";
import { backupSettingTable } from "./settings.ts";

/** The backups of a node, not started. Fault `config_invalid`. */
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
    keep: parseKeep(own["backup.keep"]),
    bucket,
    make: (to, signal) => makeInChild(child, to, signal),
    check: (folder, signal) => checkInChild(child, folder, signal),
    storeBytes: () => storeBytesOf(store.path),
    hashAt: (position) => hashAt(node.get(LOG), position),
    conditions: conditions.of(backupConditions),
    log: logFor("backup"),
    nowMs,
  });
}

/** What the settings say of backups. Fault `config_invalid` for what cannot be meant. */
export function backupSettings(settings: Settings, secrets: Secrets) {
  const own = valuesOf(backupSettingTable, settings);
  const schedule = (maker: string) => parseSchedule(own["backup.schedule"], maker);
  // A text that is none is refused at the start.
  schedule("");
  const endpoint = own["backup.s3_url"];
  const bucket = own["backup.s3_bucket"];
  if (endpoint === undefined && bucket === undefined) return { schedule, s3: undefined };
  const missing =
    endpoint === undefined
      ? "backup.s3_url"
      : bucket === undefined
        ? "backup.s3_bucket"
        : "CAIRN_S3_ACCESS_KEY_ID and CAIRN_S3_SECRET_ACCESS_KEY";
  if (endpoint === undefined || bucket === undefined || secrets.s3 === undefined) {
    throw new Fault("config_invalid", `A bucket for backups is named, and not ${missing}`, {
      hint: "Set backup.s3_url, backup.s3_bucket and both keys, or none of them.",
    });
  }
  return { schedule, s3: { endpoint, bucket, region: own["backup.s3_region"], keys: secrets.s3 } };
}

/** Hex chain hash at a position; undefined for another history, and where the change is kept no more. */
function hashAt(log: Log, text: string): string | undefined {
  const position = parsePosition(text);
  if (!log.sameHistory(position)) return undefined;
  const hash = log.hashAt(position.seq);
  return hash && Buffer.from(hash).toString("hex");
}
