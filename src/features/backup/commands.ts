// cairn backup list|now|fetch: the scheduled backups of a running node. A copy by hand is the command line's own
// `backup FOLDER`.

import { columns } from "../../lib/columns.ts";
import { Fault } from "../../lib/fault.ts";
import type { FeatureCommand } from "../../operation/feature-command.ts";

/** A large store over a slow line takes hours. */
const LONG_MS = 24 * 3_600_000;

/** What the node's output schemas checked (operations.ts). */
interface Report {
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
  options: [{ flags: "--remote", help: "ask the bucket too (backup.s3_bucket)" }],
  operation: "backup_list",
  answerMs: 120_000,
  input: ({ options }) => ({ remote: options["remote"] === true }),
  show: (output) => screen(output as unknown as Report),
  unknown: noBackups,
};

const backupNow: FeatureCommand = {
  words: ["backup", "now"],
  summary: "make a backup as the schedule would, checked, and send it to the bucket if there is one",
  operation: "backup_now",
  answerMs: LONG_MS,
  input: () => ({}),
  show: (output) => `${lastLine(output as unknown as Report)}\n`,
  unknown: noBackups,
};

const backupFetch: FeatureCommand = {
  words: ["backup", "fetch"],
  summary: "bring a backup from the bucket to the node's machine, checked, so that it can be restored",
  more: "After the loss of a machine: start a node with the same backup.s3_… settings and keys, fetch, stop it, then\n  cairn restore PATH --aside",
  args: [{ name: "NAME", help: "as cairn backup list --remote shows it" }],
  operation: "backup_fetch",
  answerMs: LONG_MS,
  input: ({ args }) => ({ name: args[0] }),
  show: ({ path, position, bytes }) => `${path}: ${bytes} bytes at ${position}, checked\n`,
  unknown: () =>
    new Fault("not_found", "This node has no bucket for backups", {
      hint: "Start it with backup.s3_url, backup.s3_bucket and the keys (docs/settings.md).",
    }),
};

/** In the order of the help. */
export const backupCommands: readonly FeatureCommand[] = [backupList, backupNow, backupFetch];

function noBackups(): Fault {
  return new Fault("not_found", "This node makes no backups: it is an edge, which keeps a cache only", {
    hint: "Ask a central or regional node of the fleet; cairn status names them.",
  });
}

function screen(shown: Report): string {
  const rows = (shown.backups ?? []).map((backup) => [
    backup.name,
    backup.at,
    backup.position,
    [backup.here ? "here" : "", backup.in_bucket === true ? "in the bucket" : ""].filter(Boolean).join(", "),
  ]);
  return columns([
    ["last good", lastLine(shown)],
    ...(shown.failed === null ? [] : [["failed since", `${shown.failed.at}: ${shown.failed.reason}`]]),
    ["next", shown.running ? "one is being made now" : (shown.next ?? "only on demand")],
    ["folder", shown.folder],
    ...(shown.bucket === null ? [] : [["bucket", shown.bucket]]),
    ...rows,
  ]);
}

function lastLine({ last }: Report): string {
  if (last === null) return "none yet";
  const { name, position, bytes, contexts, in_bucket } = last;
  return `${name}: ${contexts} contexts at ${position}, ${bytes} bytes${in_bucket ? ", in the bucket" : ""}`;
}
