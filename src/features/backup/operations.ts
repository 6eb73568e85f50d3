// backup_list, backup_now, backup_fetch: operations on the scheduled backups of this node alone.

import { z } from "zod";
import { ALL_SPACES } from "../../access/space.ts";
import { timeOf } from "../../lib/time-of.ts";
import { type AccessRule, act, type Operation } from "../../operation/define.ts";
import { ServiceKey, type Services } from "../../operation/services.ts";
import type { Backups } from "./backups.ts";

const DURATION = "It returns when it is done, which takes longer the larger the store is.";
/** A backup holds all spaces, and its bucket and folder are the node's. */
const access: AccessRule<unknown> = { verb: "operate", spaces: [ALL_SPACES] };

const made = z.object({
  name: z.string(),
  at: z.string().describe("RFC 3339."),
  position: z.string(),
  bytes: z.number().int(),
  contexts: z.number().int(),
  in_bucket: z.boolean(),
});

/** Output of `backup_now`, and of `backup_list` without its list. */
const backupReport = z.object({
  schedule: z.string().nullable().describe("Cron expression in the node's local time; null if it is off."),
  next: z.string().nullable().describe("When the next one is due, RFC 3339."),
  folder: z.string(),
  bucket: z.string().nullable(),
  running: z.boolean(),
  last: made.nullable().describe("The last good backup of this node."),
  failed: z.object({ reason: z.string(), at: z.string() }).nullable().describe("The last failure since then."),
});

const listed = backupReport.extend({
  backups: z.array(
    z.object({
      name: z.string(),
      at: z.string(),
      position: z.string(),
      here: z.boolean(),
      in_bucket: z.boolean().nullable().describe("Null if the bucket was not listed."),
    }),
  ),
});

/** What a node reports of its backups. */
export type BackupReport = z.infer<typeof backupReport>;

/** Returns the report of a node's backups, as operations show it. */
export function reportOf(backups: Backups): BackupReport {
  const report = backups.report();
  const { last, failed } = report;
  return {
    schedule: report.schedule ?? null,
    next: report.next === undefined || !Number.isFinite(report.next) ? null : timeOf(report.next),
    folder: report.folder,
    bucket: report.bucket ?? null,
    running: report.running,
    last:
      last === undefined
        ? null
        : {
            name: last.name,
            at: timeOf(last.at_ms),
            position: last.position,
            bytes: last.bytes,
            contexts: last.contexts,
            in_bucket: last.inBucket,
          },
    failed: failed === undefined ? null : { reason: failed.reason, at: timeOf(failed.at_ms) },
  };
}

/** Service key of a node's scheduled backups; an edge has none. */
export const BACKUPS: ServiceKey<Backups> = new ServiceKey("the scheduled backups");

/** Returns the operations on the backups of a node. Nodes without backups (edges) do not offer them. */
export function backupOperations(node: Services): Operation[] {
  const offered = (): boolean => node.find(BACKUPS) !== undefined;
  return [
    act({
      name: "backup_list",
      title: "List backups",
      search: "copies of the memory, when it was saved last",
      description:
        "Lists the scheduled backups of this node, when the last good one was made and when the next is due.",
      input: z.object({ remote: z.boolean().default(false).describe("Also list the bucket.") }),
      output: listed,
      access,
      offered,
      hints: { idempotent: true },
      run: async ({ remote }, { signal }) => ({
        ...reportOf(node.get(BACKUPS)),
        backups: (await node.get(BACKUPS).list(remote, signal)).map(({ backup, inFolder, inBucket }) => ({
          name: backup.name,
          at: timeOf(backup.atMs),
          position: backup.position,
          here: inFolder,
          in_bucket: inBucket ?? null,
        })),
      }),
    }),
    act({
      name: "backup_now",
      title: "Make a backup now",
      search: "save a copy of the memory now",
      description: `Makes a verified backup of this node's store now, uploads it to the bucket if there is one, and removes those that the rule does not keep. ${DURATION}`,
      input: z.object({}),
      output: backupReport,
      access,
      offered,
      run: async () => {
        await node.get(BACKUPS).runNow();
        return reportOf(node.get(BACKUPS));
      },
    }),
    fetchOperation(node),
  ];
}

/** Returns `backup_fetch`, which only nodes with a bucket offer. */
function fetchOperation(node: Services): Operation {
  return act({
    name: "backup_fetch",
    title: "Fetch a backup",
    search: "get a copy of the memory from the bucket",
    description: `Downloads a backup from the bucket into this node's backup folder and checks it, so that it can be restored. ${DURATION}`,
    input: z.object({ name: z.string().min(1).max(200).describe("The name from backup_list with remote.") }),
    example: { name: "cairn-mini-1a2b3c4d-20260101T030000Z-0a1b2c3d4e-7" },
    output: z.object({ path: z.string(), position: z.string(), bytes: z.number().int() }),
    access,
    offered: () => node.find(BACKUPS)?.report().bucket !== undefined,
    run: async ({ name }, { signal }) => {
      const { path, manifest } = await node.get(BACKUPS).fetch(name, signal);
      return { path, position: String(manifest.content["position"]), bytes: manifest.file.bytes };
    },
  });
}
