// Finds out what a path is an export or a folder of, and opens it as a source of documents.

import { createReadStream, existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { isObject, parseObject } from "../../lib/json-object.ts";
import { readLines } from "../../lib/read-lines.ts";
import { fileReason, reasonOf } from "../../lib/reason-of.ts";
import type { Left } from "../left.ts";
import { parseNote } from "../note.ts";
import { readText } from "../read-file.ts";
import { type Scanned, scanFolder } from "../scan.ts";
import { beadsItem } from "./beads.ts";
import { type Chat, chatItems } from "./chat.ts";
import { chatgptChat } from "./chatgpt.ts";
import { claudeChat } from "./claude.ts";
import type { Item, Kind, Source } from "./item.ts";
import { type Element, elementsOf } from "./json-array.ts";
import { instructionItems, isInstructions, vaultItems } from "./vaults.ts";

/** Largest conversation of an export: one at a time is in memory. */
const MAX_CHAT_BYTES = 64 * 1024 * 1024;
const MAX_LINE_BYTES = 16 * 1024 * 1024;
/** Bytes of a file, and notes of a folder, from which its kind is told. */
const HEAD_BYTES = 64 * 1024;
const HEAD_NOTES = 50;
const CHATS = "conversations.json";

/** Kinds that are written by operations of their own. */
export type OwnKind = "cairn" | "memory";

/**
 * Opens a path as a source; returns the kind of what is no list of documents: an export of Cairn, and the graph of the
 * reference memory server. Throws Fault `invalid_input` where the kind is not clear.
 */
export async function openSource(
  path: string,
  asked: Kind | undefined,
  signal: AbortSignal,
): Promise<Source | OwnKind> {
  const isFolder = statOf(path).isDirectory();
  const kinds =
    asked === undefined ? (isFolder ? await kindsOfFolder(path, signal) : await kindsOfFile(path)) : [asked];
  const [kind, other] = kinds;
  if (kind === undefined || other !== undefined) throw unclear(path, kinds, isFolder);
  if (kind === "cairn" || kind === "memory") return kind;
  return sourceOf(kind, path, isFolder);
}

function sourceOf(kind: Exclude<Kind, OwnKind>, path: string, isFolder: boolean): Source {
  const name = basename(resolve(path));
  if (kind === "chatgpt" || kind === "claude") {
    const file = isFolder ? join(path, CHATS) : path;
    return { kind, name: kind, items: () => chats(file, kind === "chatgpt" ? chatgptChat : claudeChat) };
  }
  if (kind === "beads") {
    const files = isFolder ? beadsFiles(path) : [path];
    const top = resolve(isFolder ? path : dirname(path));
    const project = basename(basename(top) === ".beads" ? dirname(top) : top);
    return { kind, name: project === "" ? kind : project, items: (signal) => beads(files, signal) };
  }
  if (!isFolder)
    throw new Fault("invalid_input", `${path} is a file, and ${kind} is a folder`, { hint: "Name the folder." });
  if (kind === "agents") return { kind, name, items: (signal) => instructionItems(path, signal) };
  return { kind, name, items: (signal) => vaultItems(path, kind, signal) };
}

async function kindsOfFolder(path: string, signal: AbortSignal): Promise<Kind[]> {
  if (existsSync(join(path, CHATS))) return kindsOfFile(join(path, CHATS));
  const isBeads = basename(resolve(path)) === ".beads" || existsSync(join(path, ".beads"));
  if (existsSync(join(path, ".obsidian"))) return ["obsidian"];
  const scanned = scanFolder(path);
  if (await hasPermalinks(path, scanned, signal)) return ["basic-memory"];
  const hasInstructions = [...scanned.files.keys()].some((file) => isInstructions(basename(file)));
  return [...(isBeads ? ["beads" as const] : []), ...(hasInstructions ? ["agents" as const] : [])];
}

/** Notes of basic-memory have a permalink in their front matter. */
async function hasPermalinks(root: string, { files }: Scanned, signal: AbortSignal): Promise<boolean> {
  for (const file of [...files.keys()].sort().slice(0, HEAD_NOTES)) {
    const read = await readText(root, file, signal);
    if ("text" in read && typeof parseNote(read.text).note.metadata["permalink"] === "string") return true;
  }
  return false;
}

async function kindsOfFile(path: string): Promise<Kind[]> {
  const head = Buffer.from(await Bun.file(path).slice(0, HEAD_BYTES).arrayBuffer());
  if (head.subarray(0, 2).toString() === "PK") {
    throw new Fault("invalid_input", `${path} is a ZIP archive`, {
      hint: "Unpack it, then name the folder or its conversations.json.",
    });
  }
  const text = head
    .toString("utf8")
    .replace(/^\uFEFF/, "")
    .trimStart();
  if (text.startsWith("[")) {
    const found = (["mapping", "chat_messages"] as const).filter((member) => text.includes(`"${member}"`));
    return found.map((member) => (member === "mapping" ? "chatgpt" : "claude"));
  }
  const line = parseObject(text.split("\n")[0] ?? "");
  if (line === undefined) return [];
  if ("cairn_export" in line) return ["cairn"];
  if (line["type"] === "entity" || line["type"] === "relation") return ["memory"];
  return beadsItem(line) === "unknown" ? [] : ["beads"];
}

async function* chats(path: string, chatOf: (value: unknown) => Chat | undefined): AsyncGenerator<Item | Left> {
  let count = 0;
  for await (const element of chatElements(path)) {
    count += 1;
    const place = `${basename(path)}: conversation ${count}`;
    if (typeof element === "number") {
      yield { place, why: `it has ${element} bytes; the limit is ${MAX_CHAT_BYTES}`, hint: "Import it by hand." };
      continue;
    }
    const chat = chatOf(parsed(element));
    if (chat === undefined)
      yield { place, why: "it is no conversation of this kind of export", hint: "See whether --from is right." };
    else yield* chatItems(chat);
  }
}

/** Yields the elements of a file. Its Faults name the file. */
async function* chatElements(path: string): AsyncGenerator<Element> {
  try {
    yield* elementsOf(createReadStream(path), MAX_CHAT_BYTES);
  } catch (error) {
    if (error instanceof Fault) throw error.retold(`Cannot read ${path}: ${error.message}`, { cause: error });
    throw error;
  }
}

async function* beads(files: readonly string[], signal: AbortSignal): AsyncGenerator<Item | Left> {
  for (const file of files) {
    let count = 0;
    for await (const line of readLines(createReadStream(file), signal, MAX_LINE_BYTES)) {
      count += 1;
      const place = `${basename(file)}: line ${count}`;
      if (line instanceof Fault) yield { place, why: line.message, hint: line.hint ?? "Export it again." };
      else if (line.trim() !== "") {
        const item = beadsItem(parsed(line));
        if (item === "unknown")
          yield { place, why: "it is neither an issue nor a memory", hint: "Nothing, or export it again: bd export." };
        else if (item !== undefined) yield item;
      }
    }
  }
}

/** The database of beads is not read: its export beside it is. */
function beadsFiles(path: string): string[] {
  const folder = basename(resolve(path)) === ".beads" ? path : join(path, ".beads");
  const names = ["issues.jsonl", "beads.jsonl"].filter((name) => existsSync(join(folder, name)));
  if (names.length > 0) return names.slice(0, 1).map((name) => join(folder, name));
  const others = existsSync(folder) ? readdirSync(folder).join(", ") : "no such folder";
  throw new Fault("not_found", `${folder} has no issues.jsonl (${others})`, {
    hint: "Write one with bd export -o .beads/issues.jsonl",
  });
}

function parsed(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    // What is no JSON, and what is too deep to be parsed.
    return undefined;
  }
}

function statOf(path: string) {
  try {
    return statSync(path);
  } catch (error) {
    throw new Fault("not_found", `Cannot read ${path}: ${fileReason(error)}`, {
      hint: "Name a file or a folder.",
      cause: reasonOf(error),
    });
  }
}

function unclear(path: string, kinds: readonly Kind[], isFolder: boolean): Fault {
  if (kinds.length > 0) {
    return new Fault("invalid_input", `${path} may be of several kinds: ${kinds.join(", ")}`, {
      hint: `Choose one, such as --from ${kinds[0]}.`,
    });
  }
  const found = isFolder
    ? `${counted(scanFolder(path).files.size, "Markdown file")}, and no mark of Obsidian, basic-memory or beads`
    : "no format that is known";
  return new Fault("invalid_input", `What ${path} is cannot be told: it has ${found}`, {
    hint: isFolder
      ? "Name the kind, such as --from obsidian for any folder of notes; or keep it with cairn folder sync."
      : "Name the kind with --from; cairn import --help lists them.",
  });
}
