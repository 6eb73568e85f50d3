// backup_list, backup_now, backup_fetch: what operators ask a node about its own backups. Each has its effect on this node only.

import { z } from "zod";
import { act, type Operation } from "../../operation/define.ts";
import { ServiceKey, type Services } from "../../operation/services.ts";
import type { Backups } from "./backups.ts";

const LONGEST = "It answers when it is done, which takes as long as the store is large.";
/** Names and times, never contents: whoever is operator of something may ask. */
const access = { verb: "operate", spaces: "visible" } as const;

const made = z.object({
  name: z.string(),
  at: z.string().describe("RFC 3339."),
  position: z.string(),
  bytes: z.number().int(),
  contexts: z.number().int(),
  in_bucket: z.boolean(),
});

/** Schema of the answer of `backup_list`. */
const backupReport = z.object({
  schedule: z.string().nullable().describe("Cron text in the node's local time; null when it is off."),
  next: z.string().nullable().describe("When the next one is due, RFC 3339."),
  folder: z.string(),
  bucket: z.string().nullable(),
  running: z.boolean(),
  last: made.nullable().describe("The last good one of this node."),
  failed: z.object({ reason: z.string(), at: z.string() }).nullable().describe("What failed since."),
});

const listed = backupReport.extend({
  backups: z.array(
    z.object({
      name: z.string(),
      at: z.string(),
      position: z.string(),
      here: z.boolean(),
      in_bucket: z.boolean().nullable().describe("Null when the bucket was not asked."),
    }),
  ),
});

/** The answer of `backup_list` but for the list. */
export type BackupReport = z.infer<typeof backupReport>;

/** What the node reports of its backups. */
export function reportOf(backups: Backups): BackupReport {
  const report = backups.report();
  const { last, failed } = report;
  return {
    schedule: report.schedule ?? null,
    next: report.next === undefined || !Number.isFinite(report.next) ? null : iso(report.next),
    folder: report.folder,
    bucket: report.bucket ?? null,
    running: report.running,
    last:
      last === undefined
        ? null
        : {
            name: last.name,
            at: iso(last.at_ms),
            position: last.position,
            bytes: last.bytes,
            contexts: last.contexts,
            in_bucket: last.inBucket,
          },
    failed: failed === undefined ? null : { reason: failed.reason, at: iso(failed.at_ms) },
  };
}

/** The scheduled backups of a node; an edge has none. */
export const BACKUPS: ServiceKey<Backups> = new ServiceKey("the scheduled backups");

/** The operations over the backups of a node, offered where it makes some. */
export function backupOperations(node: Services): Operation[] {
  const offered = (): boolean => node.find(BACKUPS) !== undefined;
  return [
    act({
      name: "backup_list",
      title: "List backups",
      description:
        "Lists the scheduled backups of this node, when the last good one was made and when the next is due.",
      input: z.object({ remote: z.boolean().default(false).describe("Ask the bucket too.") }),
      output: listed,
      access,
      offered,
      hints: { idempotent: true },
      run: async ({ remote }, { signal }) => ({
        ...reportOf(node.get(BACKUPS)),
        backups: (await node.get(BACKUPS).list(remote, signal)).map(({ backup, here, there }) => ({
          name: backup.name,
          at: iso(backup.atMs),
          position: backup.position,
          here,
          in_bucket: there ?? null,
        })),
      }),
    }),
    act({
      name: "backup_now",
      title: "Make a backup now",
      description: `Makes a verified backup of this node's store now, sends it to the bucket if there is one, and keeps by rule. ${LONGEST}`,
      input: z.object({}),
      output: backupReport,
      access,
      offered,
      run: async () => {
        await node.get(BACKUPS).now();
        return reportOf(node.get(BACKUPS));
      },
    }),
    fetchOperation(node),
  ];
}

/** Offered only where there is a bucket. */
function fetchOperation(node: Services): Operation {
  return act({
    name: "backup_fetch",
    title: "Fetch a backup",
    description: `Brings a backup from the bucket into this node's folder of backups, checked, so that it can be restored. ${LONGEST}`,
    input: z.object({ name: z.string().min(1).max(200).describe("As backup_list with remote names it.") }),
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

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
