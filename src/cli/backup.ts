// cairn backup FOLDER and cairn restore FOLDER: copies of this machine's store as files, without asking a node.
// The scheduled backups of a running node are in features/backup/commands.ts.

import { resolve } from "node:path";
import { backupNode, checkBackup, restoreNode } from "../datadir/index.ts";
import { dataDirOf } from "./client.ts";
import { type Command, isSet } from "./command.ts";
import { say, showResult } from "./output.ts";

/** `cairn backup FOLDER`. */
export const backup: Command = {
  words: ["backup"],
  summary: "copy the store of this machine's node into a new folder and check the copy; the node may be running",
  more: `A backup is a folder with cairn.db and manifest.json. It never holds keys of the tailnet.
A running node makes backups by itself: see cairn backup list.`,
  args: [{ name: "FOLDER", help: "must not exist yet", offers: "files" }],
  options: [
    { flags: "--verify", help: "only check the backup in FOLDER" },
    { flags: "--data <dir>", help: "the data folder" },
    { flags: "--json", help: "print the manifest" },
  ],
  async run(invocation) {
    const folder = resolve(invocation.args[0] ?? "");
    process.umask(0o077);
    const manifest = isSet(invocation, "verify")
      ? await checkBackup(folder)
      : await backupNode({ dataDir: resolve(dataDirOf(invocation)), to: folder });
    const { contexts, position } = manifest.content;
    const size = `${manifest.file.bytes} bytes, made ${manifest.created_at}, checked`;
    await showResult(invocation, manifest, `${folder}: ${contexts} contexts at ${position}, ${size}\n`);
    return 0;
  },
};

/** Only the operator knows whether other members of the fleet are left. */
const AFTER_RESTORE = `this node is now a fleet of its own; other members it had do not belong to it:
  stop what is left of the old fleet, so that agents do not write to two histories
  to get what was written there after the backup: cairn export --to FILE there, cairn import --missing-only FILE here
  to move a member here: cairn leave there (a copy stays in its aside/), or a new --data folder, then --join this node`;

/** `cairn restore FOLDER`. */
export const restore: Command = {
  words: ["restore"],
  summary: "replace the store of a stopped node by a backup, which is checked first",
  more: `The node must not run. A data folder that has a store is refused, unless --aside moves that store to aside/.
A new history begins: positions from before the restore are refused with history_forked.`,
  args: [{ name: "FOLDER", help: "the folder that cairn backup made", offers: "files" }],
  options: [
    { flags: "--data <dir>", help: "the data folder" },
    { flags: "--aside", help: "move the store that is there to aside/ in the data folder" },
    { flags: "--json", help: "print JSON" },
  ],
  async run(invocation) {
    const from = resolve(invocation.args[0] ?? "");
    const dataDir = resolve(dataDirOf(invocation));
    process.umask(0o077);
    const { manifest, epoch, aside } = await restoreNode({ from, dataDir, aside: isSet(invocation, "aside") });
    const { contexts, position } = manifest.content;
    await showResult(
      invocation,
      { data: dataDir, epoch, aside: aside ?? null, manifest },
      `${dataDir}: ${contexts} contexts as they were at ${position}; a new history ${epoch} begins\n`,
    );
    if (aside !== undefined) say(`the store that was there is in ${aside}`);
    say(AFTER_RESTORE);
    return 0;
  },
};
