// cairn backup list|now|fetch: the scheduled backups of a running node. Copies by hand (`backup FOLDER`) are in
// cli/backup.ts.

import { columns } from "../../lib/columns.ts";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import type { FeatureCommand } from "../../operation/feature-command.ts";

/** Time limits, in ms: a list may include the bucket; copying a large store over a slow line takes hours. */
const LIST_MS = 120_000;
const COPY_MS = 24 * 3_600_000;

/** The answer of the node, checked there (operations.ts). */
interface BackupReport {
  schedule: string | null;
  next: string | null;
  folder: string;
  bucket: string | null;
  running: boolean;
  last: { name: string; at: string; position: string; bytes: number; contexts: number; in_bucket: boolean } | null;
  failed: { reason: string; at: string } | null;
  backups?: { name: string; at: string; position: string; here: boolean; in_bucket: boolean | null }[];
}

const backupList: FeatureCommand = {
  words: ["backup", "list"],
  summary: "show the scheduled backups of a node, the last good one and when the next is due",
  options: [{ flags: "--remote", help: "also list the bucket (backup.s3_bucket)" }],
  operation: "backup_list",
  answerMs: LIST_MS,
  input: ({ options }) => ({ remote: options["remote"] === true }),
  show: (output) => screen(output as unknown as BackupReport),
  unknown: refusedByEdge,
};

const backupNow: FeatureCommand = {
  words: ["backup", "now"],
  summary: "make a scheduled backup now, check it, and send it to the bucket if there is one",
  operation: "backup_now",
  answerMs: COPY_MS,
  input: () => ({}),
  show: (output) => `${lastLine(output as unknown as BackupReport)}\n`,
  unknown: refusedByEdge,
};

const backupFetch: FeatureCommand = {
  words: ["backup", "fetch"],
  summary: "copy a backup from the bucket to the node's machine and check it, so that it can be restored",
  more: `After the loss of a machine: start a node with the same backup.s3_… settings and keys, fetch, stop it, then
  cairn restore PATH --aside`,
  args: [{ name: "NAME", help: "as cairn backup list --remote shows it" }],
  operation: "backup_fetch",
  answerMs: COPY_MS,
  input: ({ args }) => ({ name: args[0] }),
  show: ({ path, position, bytes }) => `${path}: ${counted(Number(bytes), "byte")} at ${position}, checked\n`,
  unknown: () =>
    new Fault("not_found", "This node has no bucket for backups", {
      hint: "Start it with backup.s3_url, backup.s3_bucket and the keys (docs/settings.md).",
    }),
};

/** The commands, in the order of the help. */
export const backupCommands: readonly FeatureCommand[] = [backupList, backupNow, backupFetch];

function refusedByEdge(): Fault {
  return new Fault("not_found", "This node makes no backups: it is an edge and only keeps a cache", {
    hint: "Ask a central or regional node of the fleet; cairn status lists them.",
  });
}

function screen(report: BackupReport): string {
  const rows = (report.backups ?? []).map((backup) => [
    backup.name,
    backup.at,
    backup.position,
    [backup.here ? "here" : "", backup.in_bucket === true ? "in the bucket" : ""].filter(Boolean).join(", "),
  ]);
  const facts = columns([
    ["last good", lastLine(report)],
    ...(report.failed === null ? [] : [["failed since", `${report.failed.at}: ${report.failed.reason}`]]),
    ["next", report.running ? "one is being made now" : (report.next ?? "only on demand")],
    ["folder", report.folder],
    ...(report.bucket === null ? [] : [["bucket", report.bucket]]),
  ]);
  return rows.length === 0 ? facts : `${facts}\n${columns(rows)}`;
}

function lastLine({ last }: BackupReport): string {
  if (last === null) return "none yet";
  const { name, position, bytes, contexts, in_bucket } = last;
  return `${name}: ${counted(contexts, "context")} at ${position}, ${counted(bytes, "byte")}${in_bucket ? ", in the bucket" : ""}`;
}
