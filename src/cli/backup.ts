// cairn backup FOLDER and cairn restore FOLDER: copies of this machine's store as files, without asking a node.
// The scheduled backups of a running node are in features/backup/commands.ts.

import { resolve } from "node:path";
import { backupNode, checkBackup, keysOfFolder, readKeyFile, restoreNode, writeKeyFile } from "../datadir/index.ts";
import { counted } from "../lib/counted.ts";
import type { Manifest } from "../store/backup.ts";
import { dataDirOf } from "./client.ts";
import { type Command, type Invocation, isSet, textOption } from "./command.ts";
import { say, showResult } from "./output.ts";

/** `cairn backup FOLDER`. */
export const backup: Command = {
  words: ["backup"],
  summary: "copy the store of this machine's node into a new folder and check the copy; the node may be running",
  more: `A backup is a folder with cairn.db and manifest.json. It never holds keys of the tailnet.
A running node makes backups by itself: see cairn backup list.`,
  args: [{ name: "FOLDER", help: "must not exist yet", offers: "files" }],
  options: [
    { flags: "--verify", help: "only check the backup in FOLDER, with the keys of this machine's node" },
    { flags: "--key <file>", help: "check the seal with a key file of cairn backup key", offers: "files" },
    { flags: "--data <dir>", help: "the data folder" },
    { flags: "--json", help: "print the manifest" },
  ],
  async run(invocation) {
    const folder = resolve(invocation.args[0] ?? "");
    process.umask(0o077);
    const dataDir = dataDirOf(invocation);
    if (!isSet(invocation, "verify")) {
      const manifest = await backupNode({ dataDir, to: folder });
      await showResult(invocation, manifest, lineOf(folder, manifest));
      return 0;
    }
    const { manifest, sealed } = await checkBackup(
      folder,
      new Map([...keysOfFolder(dataDir), ...keysOfFile(invocation)]),
    );
    await showResult(invocation, { ...manifest, sealed }, lineOf(folder, manifest));
    if (!sealed) say(UNSEALED);
    return 0;
  },
};

/** `cairn backup key FILE`. */
export const backupKey: Command = {
  words: ["backup", "key"],
  summary: "write the keys that verify backups of this node's fleet to a file, for a restore on another machine",
  more: `Keep the file apart from the backups: whoever has both can change a backup without being noticed.`,
  args: [{ name: "FILE", help: "readable by this user only", offers: "files" }],
  options: [{ flags: "--data <dir>", help: "the data folder" }],
  async run(invocation) {
    const file = resolve(invocation.args[0] ?? "");
    process.umask(0o077);
    writeKeyFile(dataDirOf(invocation), file);
    say(`the keys are in ${file}; keep it secret, and apart from the backups`);
    return 0;
  },
};

/** Shown for a backup whose seal could not be checked. */
const UNSEALED = `the seal of this backup was NOT checked, since no key of its fleet is here: whoever could write it could change it;
  with --key FILE it is checked (cairn backup key FILE on a full member of that fleet)`;

function keysOfFile(invocation: Invocation) {
  const file = textOption(invocation, "key");
  return file === undefined ? [] : readKeyFile(resolve(file));
}

function lineOf(folder: string, { content: { contexts, position }, file, created_at }: Manifest): string {
  return `${folder}: ${counted(Number(contexts), "context")} at ${position}, ${counted(file.bytes, "byte")}, made ${created_at}, checked\n`;
}

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
    { flags: "--key <file>", help: "check the seal with a key file of cairn backup key", offers: "files" },
    { flags: "--aside", help: "move the store that is there to aside/ in the data folder" },
    { flags: "--json", help: "print JSON" },
  ],
  async run(invocation) {
    const from = resolve(invocation.args[0] ?? "");
    const dataDir = dataDirOf(invocation);
    process.umask(0o077);
    const { manifest, sealed, epoch, aside } = await restoreNode({
      from,
      dataDir,
      aside: isSet(invocation, "aside"),
      keys: new Map(keysOfFile(invocation)),
    });
    const { contexts, position } = manifest.content;
    await showResult(
      invocation,
      { data: dataDir, epoch, aside: aside ?? null, sealed, manifest },
      `${dataDir}: ${counted(Number(contexts), "context")} as they were at ${position}; a new history ${epoch} begins\n`,
    );
    if (!sealed) say(UNSEALED);
    if (aside !== undefined) say(`the store that was there is in ${aside}`);
    say(AFTER_RESTORE);
    return 0;
  },
};
