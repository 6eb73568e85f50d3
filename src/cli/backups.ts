// cairn backup list|now|fetch: the scheduled backups of a running node. A copy by hand is keep.ts's `backup FOLDER`.

import { Fault } from "../lib/fault.ts";
import { askNode } from "./client.ts";
import type { Command } from "./command.ts";
import { columns, writeData } from "./output.ts";

/** A large store over a slow line takes hours. */
const LONG_MS = 24 * 3_600_000;

/** What the node's output schemas checked (src/features/backup/operations.ts). */
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

export const backupList: Command = {
  words: ["backup", "list"],
  summary: "show the scheduled backups of a node, the last good one and when the next is due",
  options: [{ flags: "--remote", help: "ask the bucket too (backup.s3_bucket)" }],
  asksNode: true,
  async run(invocation) {
    const remote = invocation.options["remote"] === true;
    const answer = await askNode(invocation, "backup_list", { remote }, { answerMs: 120_000 }).catch(noBackups);
    const shown = answer.body as unknown as Report;
    await writeData(invocation.options["json"] === true ? `${answer.text}\n` : screen(shown));
    return 0;
  },
};

export const backupNow: Command = {
  words: ["backup", "now"],
  summary: "make a backup as the schedule would, checked, and send it to the bucket if there is one",
  asksNode: true,
  async run(invocation) {
    const answer = await askNode(invocation, "backup_now", {}, { answerMs: LONG_MS }).catch(noBackups);
    const shown = answer.body as unknown as Report;
    await writeData(invocation.options["json"] === true ? `${answer.text}\n` : `${lastLine(shown)}\n`);
    return 0;
  },
};

export const backupFetch: Command = {
  words: ["backup", "fetch"],
  summary: "bring a backup from the bucket to the node's machine, checked, so that it can be restored",
  more: "After the loss of a machine: start a node with the same backup.s3_… settings and keys, fetch, stop it, then\n  cairn restore PATH --aside",
  args: [{ name: "NAME", help: "as cairn backup list --remote shows it" }],
  asksNode: true,
  async run(invocation) {
    const answer = await askNode(invocation, "backup_fetch", { name: invocation.args[0] }, { answerMs: LONG_MS }).catch(
      (error: unknown) => {
        if (!(error instanceof Fault) || error.code !== "unknown_operation") throw error;
        throw new Fault("not_found", "This node has no bucket for backups", {
          hint: "Start it with backup.s3_url, backup.s3_bucket and the keys (docs/settings.md).",
        });
      },
    );
    const { path, position, bytes } = answer.body;
    await writeData(
      invocation.options["json"] === true ? `${answer.text}\n` : `${path}: ${bytes} bytes at ${position}, checked\n`,
    );
    return 0;
  },
};

function noBackups(error: unknown): never {
  if (!(error instanceof Fault) || error.code !== "unknown_operation") throw error;
  throw new Fault("not_found", "This node makes no backups: it is an edge, which keeps a cache only", {
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
