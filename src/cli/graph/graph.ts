// cairn graph import and export: the file of the reference memory server, into a knowledge graph and back. What a line
// must be, and how a graph is stored, is in features/memory/graph.

import { existsSync } from "node:fs";
import {
  type BadLine,
  GraphFileParser,
  type GraphImported,
  graphFile,
  importGraph,
  type ParsedGraph,
  readPart,
} from "../../features/memory/index.ts";
import { MAX_EXPORT_LINE_BYTES } from "../../lib/bounds.ts";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { printableLine } from "../../lib/printable.ts";
import { readLines } from "../../lib/read-lines.ts";
import { fileReason } from "../../lib/reason-of.ts";
import { type Command, type Invocation, isSet, textOption } from "../command.ts";
import { pageAsker, writeLines } from "../export/lines.ts";
import { openInput } from "../input.ts";
import { say, showResult, writeData } from "../output.ts";

const IMPORT_MS = 24 * 3_600_000;
/** Bad lines that an error names. */
const NAMED = 10;
const DEFAULT_SPACE = "default";
const SPACE = { flags: "--space <space>", help: "the space of the graph (default: default)" };

/** `cairn graph import`. */
export const graphImport: Command = {
  words: ["graph", "import"],
  summary: "merge a memory.jsonl of the reference memory server into the knowledge graph of a space",
  more: `The whole file is read first: with a line that is no entity and no relation nothing is imported, unless
--skip-bad leaves such lines out. What is there stays, and gets the observations that it lacks; so an import that was
cut off is finished by running it again. Keys, tokens and passwords are removed by the node before storing.

Examples:
  cairn graph import memory.jsonl --dry-run
  cairn graph import memory.jsonl --space team-a`,
  args: [{ name: "[FILE]", help: "the file; - or nothing reads stdin", offers: "files" }],
  options: [
    SPACE,
    { flags: "--dry-run", help: "only say what it would do" },
    { flags: "--skip-bad", help: "leave out lines that are no entity and no relation" },
  ],
  asksNode: true,
  async run(invocation) {
    return importGraphFile(invocation, invocation.args[0] ?? "-", textOption(invocation, "space"));
  },
};

/**
 * Merges a memory.jsonl into the knowledge graph of a space, by the flags `--dry-run` and `--skip-bad`. Returns the
 * exit code.
 */
export async function importGraphFile(
  invocation: Invocation,
  file: string,
  space: string | undefined,
): Promise<number> {
  const parsed = await parseFile(file);
  if (parsed.badLines > 0 && !isSet(invocation, "skipBad")) throw hasBadLines(file, parsed);
  const dryRun = isSet(invocation, "dryRun");
  const report = await importParsed(invocation, file, parsed, { dryRun, ...(space === undefined ? {} : { space }) });
  const { bad, badLines, repeated } = parsed;
  await showResult(invocation, { ...report, repeated, bad, bad_lines: badLines }, reportText(report, parsed, dryRun));
  return 0;
}

async function parseFile(file: string): Promise<ParsedGraph> {
  const parser = new GraphFileParser();
  try {
    for await (const line of readLines(openInput(file), AbortSignal.timeout(IMPORT_MS), MAX_EXPORT_LINE_BYTES)) {
      if (line instanceof Fault) parser.addBad(line.message);
      else parser.add(line);
    }
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault("invalid_input", `Cannot read ${file}: ${fileReason(cause)}`, {
      hint: "Name a file of the reference memory server, or - for stdin.",
    });
  }
  return parser.parsed();
}

async function importParsed(
  invocation: Invocation,
  file: string,
  parsed: ParsedGraph,
  { dryRun, space }: { dryRun: boolean; space?: string },
): Promise<GraphImported> {
  const all = parsed.entities.length + parsed.relations.length;
  let done = 0;
  try {
    return await importGraph(pageAsker(invocation), parsed, {
      ...(space === undefined ? {} : { space }),
      dryRun,
      onProgress: (now) => {
        done = now;
      },
    });
  } catch (error) {
    if (!(error instanceof Fault) || done === 0 || dryRun) throw error;
    throw error.retold(`${error.message}; ${done} of ${all} entities and relations of ${file} are imported`, {
      hint: `${error.hint === undefined ? "" : `${error.hint} `}Run it again for the others: what is there is left as it is.`,
    });
  }
}

function hasBadLines(file: string, { bad, badLines }: ParsedGraph): Fault {
  const more = badLines > NAMED ? `; and ${badLines - NAMED} more` : "";
  const named = bad.slice(0, NAMED).map(lineText).join("; ");
  const are = `${counted(badLines, "line")} that ${badLines === 1 ? "is" : "are"} no entity and no relation`;
  return new Fault("invalid_input", `${file} has ${are}: ${named}${more}`, {
    hint: "Nothing was imported. Correct them, or leave them out with --skip-bad.",
  });
}

function lineText({ line, problem }: BadLine): string {
  return `line ${line}: ${printableLine(problem)}`;
}

function reportText(report: GraphImported, { bad, badLines, repeated }: ParsedGraph, dryRun: boolean): string {
  const { created, extended, related, unchanged, scrubbed = [] } = report;
  const lines = [
    `${counted(created, "entity", "entities")} new, ${extended} with more observations, ${counted(related, "relation")} new, ${unchanged} as they were${dryRun ? "; nothing was written" : ""}`,
    ...scrubbed.map(({ rule, count }) => `removed before storing: ${rule} (${count})`),
    ...(repeated === 0 ? [] : [`${counted(repeated, "line")} repeated an earlier one, and were merged with it`]),
    ...(badLines === 0 ? [] : [`${counted(badLines, "line")} left out:`, ...bad.map(lineText)]),
  ];
  return `${lines.join("\n")}\n`;
}

/** `cairn graph export`. */
export const graphExport: Command = {
  words: ["graph", "export"],
  summary: "write the knowledge graph of a space as a memory.jsonl, which the reference memory server reads",
  options: [SPACE, { flags: "--to <file>", help: "write a new file; default: stdout", offers: "files" }],
  asksNode: true,
  async run(invocation) {
    const space = textOption(invocation, "space") ?? DEFAULT_SPACE;
    const draft = await readPart(pageAsker(invocation), space, "all", { most: Number.POSITIVE_INFINITY });
    const graph = draft.graph();
    const file = textOption(invocation, "to");
    const text = graphFile(graph);
    if (text === "") say(`the graph of space ${space} is empty, or you may not read it`);
    if (file === undefined) {
      await writeData(text === "" ? "" : `${text}\n`);
      return 0;
    }
    if (existsSync(file)) throw new Fault("data_exists", `${file} exists already`, { hint: "Name another file." });
    await writeLines(file, only(text));
    const { entities, relations } = graph;
    say(`${file}: ${counted(entities.length, "entity", "entities")}, ${counted(relations.length, "relation")}`);
    return 0;
  },
};

async function* only(text: string): AsyncGenerator<string> {
  if (text !== "") yield text;
}
