// Folders of Markdown by other programs: CLAUDE.md and AGENTS.md of a tree, vaults of Obsidian and of basic-memory.

import { statSync } from "node:fs";
import { basename, join } from "node:path";
import type { Left } from "../left.ts";
import { EXTENSION } from "../names.ts";
import { type Note, parseNote } from "../note.ts";
import { readText } from "../read-file.ts";
import { scanFolder } from "../scan.ts";
import { type Item, timeText } from "./item.ts";

/** The files in which people tell agents about a tree. */
const INSTRUCTIONS: ReadonlySet<string> = new Set([
  "CLAUDE.md",
  "CLAUDE.local.md",
  "AGENTS.md",
  "AGENTS.override.md",
  "GEMINI.md",
]);
/** Folders of code by others. */
const FOREIGN = /(?:^|\/)(?:node_modules|vendor|third_party)\//;

/** Reports whether a file is one that tells agents about a tree. */
export function isInstructions(name: string): boolean {
  return INSTRUCTIONS.has(name);
}

/** Yields the instructions of a tree, each with its whole text. */
export async function* instructionItems(root: string, signal: AbortSignal): AsyncGenerator<Item | Left> {
  const scanned = scanFolder(root, isInstructions);
  // Links of another name are none of ours.
  yield* scanned.left.filter(({ place }) => isInstructions(basename(place)));
  for (const path of [...scanned.files.keys()].sort()) {
    if (FOREIGN.test(path)) continue;
    const read = await readText(root, path, signal);
    if ("why" in read) yield read;
    else {
      const folder = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : basename(root);
      yield {
        ...{
          name: path,
          title: `${basename(path)} of ${folder}`,
          tags: ["instructions"],
          metadata: {},
          sourceId: path,
        },
        ...{ content: read.text.replace(/^\uFEFF/, ""), ...timesOf(root, path) },
      };
    }
  }
}

/** Yields the notes of a vault. */
export async function* vaultItems(
  root: string,
  kind: "obsidian" | "basic-memory",
  signal: AbortSignal,
): AsyncGenerator<Item | Left> {
  const scanned = scanFolder(root);
  yield* scanned.left;
  for (const path of [...scanned.files.keys()].sort()) {
    const read = await readText(root, path, signal);
    if ("why" in read) yield read;
    else yield noteItem(root, path, kind, parseNote(read.text));
  }
}

function noteItem(
  root: string,
  path: string,
  kind: "obsidian" | "basic-memory",
  { note, remark }: { note: Note; remark?: string },
): Item {
  const { permalink } = note.metadata;
  const isNamed = kind === "basic-memory" && typeof permalink === "string" && permalink !== "";
  const tags = [...note.tags, ...(kind === "obsidian" ? inlineTags(note.body) : [])];
  return {
    name: path.slice(0, -EXTENSION.length),
    title: note.title === "" ? basename(path).slice(0, -EXTENSION.length) : note.title,
    tags: [...new Set(tags.map((tag) => tag.replace(/^#/, "")))],
    metadata: note.metadata,
    content: note.body,
    sourceId: isNamed ? permalink : path,
    ...timesOf(root, path),
    remark,
  };
}

function timesOf(root: string, path: string): { updated?: string | undefined } {
  const stat = statSync(join(root, path), { throwIfNoEntry: false });
  return { updated: timeText(stat === undefined ? undefined : stat.mtimeMs / 1000) };
}

/** Returns the tags in a text, as Obsidian finds them: `#word`, with at least one character that is no digit. */
function inlineTags(body: string): string[] {
  const prose = body.replace(/^(`{3,}|~{3,})[^\n]*\n[\s\S]*?^\1[`~]*[ \t]*$/gm, "").replace(/`[^`\n]*`/g, "");
  const found = prose.matchAll(/(?<=^|\s)#(?<tag>[\p{L}\p{N}_/-]*[\p{L}_/-][\p{L}\p{N}_/-]*)/gu);
  return [...found].flatMap(({ groups }) => (groups?.["tag"] === undefined ? [] : [groups["tag"].replace(/\/+$/, "")]));
}
