// cairn import: writes into a running node what an export of Cairn has, after the whole file has been checked, or the
// documents of another program (src/folder/import). The graph of the reference memory server is left to graph import.

import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { importLines } from "../../features/context/index.ts";
import { SCRUB_RULES, Scrubber } from "../../features/memory/index.ts";
import {
  type ImportReport,
  type ImportStep,
  KINDS,
  type Kind,
  type OwnKind,
  openSource,
  runImport,
} from "../../folder/index.ts";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { printableLine } from "../../lib/printable.ts";
import { type Command, type Invocation, isSet, textOption, textsOption } from "../command.ts";
import { INTERRUPTED_EXIT, NEGATIVE_EXIT, TERMINATED_EXIT } from "../exit.ts";
import { sayLeft } from "../folder/left.ts";
import { nodeCalls } from "../folder/node-calls.ts";
import { prefixOf } from "../folder/prefix.ts";
import { importGraphFile } from "../graph/graph.ts";
import { isRereadable } from "../input.ts";
import { say, showResult, wantsJson, writeData } from "../output.ts";
import { checkExport, linesOf } from "./export-file.ts";
import { pageAsker, writeLines } from "./lines.ts";

const IMPORT_MS = 24 * 3_600_000;
const MAX_REMARKS = 50;

/** `cairn import`. */
export const importContexts: Command = {
  words: ["import"],
  summary: "write an export of Cairn, or the notes and chats of other programs, into a node",
  more: `Examples:
  cairn import contexts.jsonl                        an export of Cairn, with its history
  cairn import ~/vault --prefix team-a/vault --dry-run
Kinds, told from what is there or named with --from:
  cairn         written by cairn export
  agents        CLAUDE.md, AGENTS.md and GEMINI.md of a tree
  obsidian, basic-memory    a vault; obsidian is any folder of notes
  memory        memory.jsonl of the reference memory server: as cairn graph import, --prefix is the space
  beads         .beads/issues.jsonl, or the folder that has it
  chatgpt, claude           conversations.json of a data export, unpacked
Without --prefix contexts are below default/ and the name of the folder, of the project for beads; those of chats below
default/chatgpt or default/claude, whatever the folder is called.
An export of Cairn is checked whole before anything is written. A context that has another history on the node is
refused, unless --missing-only skips it. Of the other kinds a second import writes only what has changed. What somebody
changed since is kept, unless --overwrite. Keys, tokens and passwords are removed. Exits 3 where something was left.`,
  args: [
    { name: "[PATH]", help: "a file or folder; - or nothing reads an export of Cairn from stdin", offers: "files" },
  ],
  options: [
    { flags: "--from <kind>", help: "what it is", offers: KINDS },
    {
      flags: "--prefix <prefix>",
      help: "where its contexts will be (default: by folder or kind, see below)",
      offers: "ids",
    },
    { flags: "--dry-run", help: "show what would be written, and write nothing" },
    { flags: "--overwrite", help: "also contexts that were changed since they were imported" },
    {
      flags: "--keep-secrets <rule>",
      help: "do not remove what this rule finds, or all; may be given several times",
      repeated: true,
    },
    { flags: "--missing-only", help: "of an export of Cairn: skip contexts that exist on the node" },
  ],
  asksNode: true,
  async run(invocation) {
    const path = invocation.args[0] ?? "-";
    const asked = kindOf(textOption(invocation, "from"));
    const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
    // What can be read only once is not looked at first.
    const isExport = !isFolder && !isRereadable(path) && (asked === undefined || asked === "cairn");
    const end = new AbortController();
    const source = isExport ? "cairn" : await openSource(path, asked, end.signal);
    if (source === "cairn") return importExport(invocation, path);
    if (source === "memory") return importGraphFile(invocation, path, textOption(invocation, "prefix"));
    let exit = 0;
    const endWith = (code: number) => () => {
      exit = code;
      end.abort(new Fault("cancelled", "Ended; what was written stays, and the same import goes on from there"));
    };
    process.once("SIGINT", endWith(INTERRUPTED_EXIT));
    process.once("SIGTERM", endWith(TERMINATED_EXIT));
    try {
      return await importSource(invocation, source, end.signal);
    } catch (error) {
      if (!end.signal.aborted) throw error;
      say("ended; what was written stays, and the same import goes on from there");
      return exit;
    }
  },
};

async function importExport(invocation: Invocation, given: string): Promise<number> {
  const signal = AbortSignal.timeout(IMPORT_MS);
  const folder = !isRereadable(given) ? mkdtempSync(join(tmpdir(), "cairn-import-")) : undefined;
  try {
    // What can be read only once is stored until the whole of it has been checked.
    const file = folder === undefined ? given : join(folder, "export.jsonl");
    if (folder !== undefined) await writeLines(file, linesOf(given, signal));
    const versions = await checkExport(file, signal);
    if (isSet(invocation, "dryRun")) {
      const text = `the export is complete and has ${counted(versions, "version")}; nothing was written\n`;
      await showResult(invocation, { kind: "cairn", dry_run: true, versions }, text);
      return 0;
    }
    const missingOnly = isSet(invocation, "missingOnly");
    const report = await importLines(pageAsker(invocation), linesOf(file, signal), { missingOnly });
    const { imported, skipped, left } = report;
    const text = `${counted(imported, "version")} imported, ${skipped} existed already, ${counted(left, "context")} skipped\n`;
    await showResult(invocation, report, text);
    return 0;
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

async function importSource(
  invocation: Invocation,
  source: Exclude<Awaited<ReturnType<typeof openSource>>, OwnKind>,
  signal: AbortSignal,
): Promise<number> {
  const dryRun = isSet(invocation, "dryRun");
  const isForPeople = !wantsJson(invocation);
  const report = await runImport({
    ...{ source, signal, dryRun, prefix: prefixOf(textOption(invocation, "prefix"), source.name) },
    node: nodeCalls(invocation, signal),
    overwrite: isSet(invocation, "overwrite"),
    scrubber: new Scrubber(rulesOf(textsOption(invocation, "keepSecrets"))),
    ...(isForPeople ? { onStep: (step: ImportStep) => void writeData(stepLine(step, dryRun)) } : {}),
  });
  for (const remark of report.remarks.slice(0, MAX_REMARKS)) say(remark);
  if (report.remarks.length > MAX_REMARKS) say(`and ${report.remarks.length - MAX_REMARKS} more such; --json has all`);
  sayLeft(report.left);
  await showResult(invocation, report, summaryOf(report));
  return report.left.length > 0 ? NEGATIVE_EXIT : 0;
}

function kindOf(given: string | undefined): Kind | undefined {
  const kind = KINDS.find((each) => each === given);
  if (given === undefined || kind !== undefined) return kind;
  throw new Fault("invalid_input", `--from is none of the kinds: ${JSON.stringify(given)}`, {
    hint: `Take one of ${KINDS.join(", ")}.`,
  });
}

function rulesOf(given: readonly string[]): readonly string[] {
  const known = ["all", ...SCRUB_RULES.map(({ name }) => name)];
  const unknown = given.find((rule) => !known.includes(rule));
  if (unknown === undefined) return given;
  throw new Fault("invalid_input", `--keep-secrets is no rule: ${JSON.stringify(unknown)}`, {
    hint: `Take one of ${known.join(", ")}.`,
  });
}

const STEPS: Readonly<Record<ImportStep["did"], string>> = { created: "create", updated: "update", kept: "keep  " };

function stepLine({ did, id, title, from }: ImportStep, dryRun: boolean): string {
  const kept = did === "kept" ? "changed since, or not of an import; --overwrite replaces it" : "";
  // What the id does not say already: the title of a chat, the file of a note.
  const about = [title, did === "kept" ? "" : from].filter((text) => text !== "" && !id.endsWith(`/${text}`));
  const why = [...about.map(printableLine), kept].filter((text) => text !== "").join("; ");
  return `${dryRun ? "would " : ""}${STEPS[did]} ${printableLine(id)}${why === "" ? "" : `  (${why})`}\n`;
}

function summaryOf(report: ImportReport): string {
  const { kind, prefix, created, updated, unchanged, kept, left, scrubbed } = report;
  const rest = [
    kept === 0 ? "" : `, ${kept} kept as they are`,
    left.length === 0 ? "" : `, ${left.length} left`,
    ...scrubbed.map(({ rule, count }) => `; removed before storing: ${rule} (${count})`),
  ];
  const text = `${counted(created, "context")} created, ${updated} updated, ${unchanged} unchanged${rest.join("")}`;
  return `${report.dry_run ? "would be: " : ""}${kind} → ${prefix}/: ${text}\n`;
}
