// cairn folder sync: a folder of Markdown and the contexts of a prefix, kept the same both ways. The work is in
// src/folder.

import { realpathSync } from "node:fs";
import { basename, join } from "node:path";
import { userStateDir } from "../../config/paths.ts";
import {
  countOf,
  FolderSync,
  foldsCase,
  type Left,
  type Report,
  type Step,
  SyncState,
  watchFolder,
} from "../../folder/index.ts";
import { shellWord } from "../../lib/client-lines.ts";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { parseObject } from "../../lib/json-object.ts";
import { printableLine } from "../../lib/printable.ts";
import { fileReason } from "../../lib/reason-of.ts";
import { urlsOf } from "../client.ts";
import { type Command, type Invocation, isSet, textOption } from "../command.ts";
import { INTERRUPTED_EXIT, NEGATIVE_EXIT, TERMINATED_EXIT } from "../exit.ts";
import { say, wantsJson, writeData } from "../output.ts";
import { StreamFollower } from "../print-stream.ts";
import { sayLeft } from "./left.ts";
import { nodeCalls } from "./node-calls.ts";
import { prefixOf } from "./prefix.ts";

const SIDES = ["store", "folder"] as const;
/** An editor may remove a file for a moment before it writes it again, in ms. */
const DELETE_AFTER_MS = 2000;

/** `cairn folder sync`. */
export const folderSync: Command = {
  words: ["folder", "sync"],
  summary: "keep a folder of Markdown and the contexts of a prefix the same, both ways",
  more: `Examples:
  cairn folder sync wiki --prefix team-a/wiki
  cairn folder sync wiki --prefix team-a/wiki --watch
wiki/plan.md is the context team-a/wiki/plan. Title, tags and metadata are its front matter. If a note changed on both
sides since the last sync, both texts are kept: one as the newest version, the other one as an earlier one, which the
command names. Files that begin with a dot, symbolic links and what is no Markdown are left alone.
Exits 3 where something was left as it was: each such file is named, with what to do. A symbolic link is named and no
reason to exit with 3, unless it is where a note was.`,
  args: [{ name: "DIR", help: "the folder", offers: "files" }],
  options: [
    {
      flags: "--prefix <prefix>",
      help: "where its contexts are (default: default/ and the name of the folder)",
      offers: "ids",
    },
    { flags: "--watch", help: "go on with every change of files and contexts, until Ctrl-C" },
    { flags: "--dry-run", help: "show what would be done, and do nothing" },
    { flags: "--prefer <side>", help: "whose text a conflict leaves in place (default store)", offers: SIDES },
    { flags: "--delete-all", help: "carry it over also if all notes, or most of them, are gone on one side" },
  ],
  asksNode: true,
  async run(invocation) {
    const end = new AbortController();
    let exit = 0;
    const endWith = (code: number) => () => {
      exit = code;
      end.abort(new Fault("cancelled", "Ended; what was done is recorded, and the next sync goes on from there"));
    };
    process.once("SIGINT", endWith(INTERRUPTED_EXIT));
    process.once("SIGTERM", endWith(TERMINATED_EXIT));
    try {
      const found = await sync(invocation, end.signal);
      return exit || found;
    } catch (error) {
      if (!end.signal.aborted) throw error;
      say("ended; what was done is recorded, and the next sync goes on from there");
      return exit;
    }
  },
};

async function sync(invocation: Invocation, signal: AbortSignal): Promise<number> {
  const root = rootOf(invocation.args[0] ?? "");
  const prefix = prefixOf(textOption(invocation, "prefix"), basename(root));
  const watches = isSet(invocation, "watch");
  const dryRun = isSet(invocation, "dryRun");
  if (watches && dryRun)
    throw new Fault("invalid_input", "--watch and --dry-run do not go together", { hint: "Leave one of them out." });
  const node = nodeCalls(invocation, signal);
  const where = urlsOf(invocation)[0] ?? "local";
  const state = SyncState.open(join(userStateDir(invocation.env), "folders"), root, prefix, where);
  const isForPeople = !wantsJson(invocation);
  try {
    const synced = new FolderSync({
      ...{
        root,
        prefix,
        node,
        state,
        signal,
        dryRun,
        deleteAll: isSet(invocation, "deleteAll"),
        prefer: preferOf(invocation),
      },
      foldsCase: foldsCase(root),
      deleteAfterMs: watches ? DELETE_AFTER_MS : 0,
      ...(isForPeople ? { onStep: (step: Step) => void writeData(stepLine(step, dryRun)) } : {}),
    });
    if (!watches) {
      const report = await synced.run();
      await show(invocation, report, new Set());
      if (isForPeople) await writeData(summaryOf(report));
      return report.left.some(({ ignored }) => ignored === undefined) ? NEGATIVE_EXIT : 0;
    }
    // The stream begins where the first list was made, or before.
    await node.ask("context_list", { prefix: `${prefix}/`, limit: 1 });
    const since = node.position();
    const said = new Set<string>();
    await watchFolder({
      ...{ root, sync: synced, signal },
      changes: () => changedIds(invocation, prefix, since, signal),
      onReport: (report) => show(invocation, report, said),
      onTrouble: say,
    });
    signal.throwIfAborted();
    return 0;
  } finally {
    state.close();
  }
}

async function* changedIds(invocation: Invocation, prefix: string, since: string, signal: AbortSignal) {
  const path = `/changes?${new URLSearchParams({ prefix: `${prefix}/` })}`;
  for await (const text of new StreamFollower(invocation, path, since, signal).values()) {
    const { target } = parseObject(text) ?? {};
    if (typeof target === "string") yield target;
  }
}

function rootOf(folder: string): string {
  try {
    return realpathSync(folder);
  } catch (error) {
    throw new Fault("not_found", `There is no folder ${folder}: ${fileReason(error)}`, {
      hint: "Make it, or mount the disk that it is on.",
    });
  }
}

function preferOf(invocation: Invocation): (typeof SIDES)[number] {
  const given = textOption(invocation, "prefer") ?? "store";
  const side = SIDES.find((each) => each === given);
  if (side !== undefined) return side;
  throw new Fault("invalid_input", `--prefer is store or folder, not ${JSON.stringify(given)}`, {
    hint: "store: the file gets the text of the store; folder: the store gets the text of the file.",
  });
}

const STEPS: Readonly<Record<Step["did"], string>> = {
  created: "created context  ",
  updated: "updated context  ",
  deleted: "deleted context  ",
  written: "wrote file       ",
  removed: "removed file     ",
  conflict: "conflict         ",
};

function stepLine({ did, path, id }: Step, dryRun: boolean): string {
  const isFile = did === "written" || did === "removed";
  const [one, other] = isFile ? [path, id] : [id, path];
  return `${dryRun ? "would have " : ""}${STEPS[did]}${printableLine(one)}  (${printableLine(other)})\n`;
}

/** Shows what people have to know of a pass, and with --json all of one that did or left something. */
async function show(invocation: Invocation, report: Report, said: Set<string>): Promise<void> {
  const isNew = ({ place, why }: Left) => !said.has(`${place}\0${why}`);
  const left = report.left.filter(isNew);
  said.clear();
  for (const { place, why } of report.left) said.add(`${place}\0${why}`);
  const isEmpty = report.steps.length === 0 && left.length === 0 && report.remarks.length === 0;
  if (wantsJson(invocation)) {
    if (!isEmpty || !isSet(invocation, "watch")) await writeData(`${JSON.stringify(report)}\n`);
    return;
  }
  for (const { path, id, kept, version } of report.conflicts) {
    const other = kept === "store" ? "yours" : "the other text";
    say(`${path} was changed here and in the store; it has the text of the ${kept}, and ${other} is version ${version}:
  try: cairn context get ${shellWord(id)} --version ${version}`);
  }
  for (const remark of report.remarks) say(remark);
  sayLeft(left);
}

function summaryOf(report: Report): string {
  const count = (did: Step["did"]) => countOf(report, did);
  const there = `${counted(count("created"), "context")} created, ${count("updated")} updated, ${count("deleted")} deleted`;
  const here = `${counted(count("written"), "file")} written, ${count("removed")} removed`;
  const rest = [
    report.conflicts.length === 0 ? "" : `, ${counted(report.conflicts.length, "conflict")}`,
    `, ${report.unchanged} unchanged`,
    report.left.length === 0 ? "" : `, ${report.left.length} left`,
    report.other_files === 0 ? "" : `; ${counted(report.other_files, "file")} not Markdown`,
    report.other_contexts === 0 ? "" : `; ${counted(report.other_contexts, "context")} not text`,
  ];
  return `${report.dry_run ? "would be: " : ""}${report.prefix}/: ${there}; ${here}${rest.join("")}\n`;
}
