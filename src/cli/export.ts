// cairn export|import|backup|restore: getting all of a store out and back. Export and import go through a running node, as lines; backup and restore work on the data folder, as files.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createWriteStream, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { finished } from "node:stream/promises";
import { backupNode, checkBackup, restoreNode } from "../datadir/index.ts";
import { exportLines, importLines } from "../features/context/index.ts";
import { flush, renameDurably } from "../lib/atomic-file.ts";
import { Fault } from "../lib/fault.ts";
import { askNode, dataDirOf } from "./client.ts";
import { type Command, type Invocation, textOption } from "./command.ts";
import { checkExport, linesOf } from "./export-file.ts";
import { say, writeData } from "./output.ts";

/** A page of an export or import is small; the node may be busy. */
const PAGE_MS = 120_000;

const askAsAdmin =
  (invocation: Invocation) =>
  async (operation: string, input: Record<string, unknown>): Promise<Record<string, unknown>> =>
    (await askNode(invocation, operation, input, { answerMs: PAGE_MS })).body;

export const exportContexts: Command = {
  words: ["export"],
  summary: "write all contexts with their history as JSON lines: authors, times and deletions, nothing is lost",
  more: "Examples:\n  cairn export --to contexts.jsonl\n  cairn export team-a/ | zstd > team-a.jsonl.zst\n  cairn context get team-a/plan --from contexts.jsonl",
  args: [{ name: "[PREFIX]", help: "only ids that begin with this", offers: "ids" }],
  options: [
    { flags: "--to <file>", help: "write a file, which appears when it is whole; without it stdout", offers: "files" },
    { flags: "--data <dir>", help: "the node of this data folder" },
    { flags: "--url <url>", help: "the node at this address, such as http://cairn" },
  ],
  async run(invocation) {
    const lines = exportLines(askAsAdmin(invocation), invocation.args[0]);
    const file = textOption(invocation, "to");
    if (file === undefined) {
      for await (const line of lines) if (!(await writeData(`${line}\n`))) return 0;
      return 0;
    }
    if (existsSync(file)) throw new Fault("data_exists", `${file} is there already`, { hint: "Name another file." });
    const partial = `${file}.${randomBytes(4).toString("hex")}.partial`;
    try {
      const last = await writeLines(partial, lines);
      renameDurably(partial, file);
      const { contexts, versions } = JSON.parse(last);
      say(`${file}: ${contexts} contexts, ${versions} versions`);
    } catch (error) {
      rmSync(partial, { force: true });
      throw error;
    }
    return 0;
  },
};

/** Writes lines to a new private file, flushed to the disk; answers the last one. Fault `storage_full`. */
async function writeLines(path: string, lines: AsyncIterable<string>): Promise<string> {
  const stream = createWriteStream(path, { flags: "wx", mode: 0o600 });
  // Heard from the beginning: a disk that fills up while lines come is an error of this call, not of the process.
  const written = finished(stream);
  written.catch(() => {});
  let last = "";
  try {
    for await (const line of lines) {
      if (!stream.write(`${line}\n`)) await once(stream, "drain");
      last = line;
    }
    stream.end();
    await written;
  } catch (cause) {
    stream.destroy();
    if (!(cause instanceof Error && "code" in cause && cause.code === "ENOSPC")) throw cause;
    throw new Fault("storage_full", `The disk is full; ${path} was not written`, {
      hint: "Free space there, or name a file on another disk.",
      cause,
    });
  }
  flush(path);
  return last;
}

export const importContexts: Command = {
  words: ["import"],
  summary: "take an export back, with authors, times and deletions; what is there already is skipped",
  more: "The file is read through first: a cut or changed one is refused before anything is written. A context with another history here is refused, unless --missing-only leaves it alone.",
  args: [{ name: "[FILE]", help: "what cairn export wrote; - or nothing reads stdin", offers: "files" }],
  options: [{ flags: "--missing-only", help: "leave contexts that are there already alone" }],
  asksNode: true,
  async run(invocation) {
    const given = invocation.args[0] ?? "-";
    const signal = AbortSignal.timeout(24 * 3_600_000);
    const folder = given === "-" ? mkdtempSync(join(tmpdir(), "cairn-import-")) : undefined;
    try {
      // Stdin cannot be read twice, so it is kept until it is known to be whole.
      const file = folder === undefined ? given : join(folder, "export.jsonl");
      if (folder !== undefined) await writeLines(file, linesOf("-", signal));
      await checkExport(file, signal);
      const report = await importLines(askAsAdmin(invocation), linesOf(file, signal), {
        missingOnly: invocation.options["missingOnly"] === true,
      });
      const { imported, skipped, left } = report;
      await writeData(
        invocation.options["json"] === true
          ? `${JSON.stringify(report)}\n`
          : `${imported} versions imported, ${skipped} were there already, ${left} contexts left alone\n`,
      );
      return 0;
    } finally {
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    }
  },
};

export const backup: Command = {
  words: ["backup"],
  summary: "copy the store of this machine's node into a new folder, checked; the node may run meanwhile",
  more: "A backup is a folder with cairn.db and manifest.json. Keys of the tailnet are never in it. --verify only checks one that is there.\nA running node makes backups by itself: see cairn backup list.",
  args: [{ name: "FOLDER", help: "must not be there yet", offers: "files" }],
  options: [
    { flags: "--verify", help: "check the backup in FOLDER instead" },
    { flags: "--data <dir>", help: "the data folder" },
    { flags: "--json", help: "print the manifest" },
  ],
  async run(invocation) {
    const folder = resolve(invocation.args[0] ?? "");
    const verify = invocation.options["verify"] === true;
    process.umask(0o077);
    const manifest = verify
      ? await checkBackup(folder)
      : await backupNode({ dataDir: resolve(dataDirOf(invocation)), to: folder });
    const { contexts, position } = manifest.content;
    await writeData(
      invocation.options["json"] === true
        ? `${JSON.stringify(manifest)}\n`
        : `${folder}: ${contexts} contexts at ${position}, ${manifest.file.bytes} bytes, made ${manifest.created_at}, checked\n`,
    );
    return 0;
  },
};

/** What only the operator knows: whether anything of the old fleet is left. */
const AFTER_RESTORE = `this node is now a fleet of its own; if it had other members, they are no part of it:
  stop what is left of the old fleet, so that agents do not write to two histories
  what it took after the backup: cairn export --to FILE there, then cairn import --missing-only FILE here
  to bring a member over: cairn leave there (a copy stays in its aside/), or a new --data folder, then --join this node`;

export const restore: Command = {
  words: ["restore"],
  summary: "make the store of a data folder out of a backup, checked first; never over live data",
  more: "The node must not run. A data folder that has a store already is refused; with --aside its store is kept, in aside/ of the data folder.\nA new history begins: positions of before answer history_forked.",
  args: [{ name: "FOLDER", help: "what cairn backup made", offers: "files" }],
  options: [
    { flags: "--data <dir>", help: "the data folder" },
    { flags: "--aside", help: "keep the store that is there under another name" },
    { flags: "--json", help: "as JSON" },
  ],
  async run(invocation) {
    const from = resolve(invocation.args[0] ?? "");
    const dataDir = resolve(dataDirOf(invocation));
    process.umask(0o077);
    const { manifest, epoch, aside } = await restoreNode({
      from,
      dataDir,
      aside: invocation.options["aside"] === true,
    });
    const { contexts, position } = manifest.content;
    await writeData(
      invocation.options["json"] === true
        ? `${JSON.stringify({ data: dataDir, epoch, aside: aside ?? null, manifest })}\n`
        : `${dataDir}: ${contexts} contexts as they were at ${position}; a new history ${epoch} begins\n`,
    );
    if (aside !== undefined) say(`what was there before is in ${aside}`);
    say(AFTER_RESTORE);
    return 0;
  },
};
