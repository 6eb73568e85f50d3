// A note as a file and as a context: Markdown whose front matter has title, tags and metadata. A text that is parsed
// and composed again is the same note, and so is a note that is composed and parsed again.

import { canonicalJson } from "../lib/canonical-json.ts";
import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { essenceOf } from "../lib/media-type.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { sha256Hex } from "../lib/sha256.ts";

/** The type of a context whose front matter names none. */
export const MARKDOWN = "text/markdown";

/** A note. */
export interface Note {
  title: string;
  tags: readonly string[];
  metadata: Readonly<Record<string, unknown>>;
  /** A text type. */
  contentType: string;
  body: string;
}

/** What a text is parsed to. */
export interface ParsedNote {
  note: Note;
  /** Why what looks like front matter is taken as part of the body. */
  remark?: string;
}

/** Longest front matter: the parser of YAML takes longer than linear time. */
const MAX_HEAD_CHARS = 32 * 1024;
const MAX_DEPTH = 16;
const MAX_VALUES = 2000;
const BOM = "\uFEFF";
const OPEN = /^---[ \t]*\r?\n/;
const CLOSE = /^---[ \t]*(?:\r?\n|$)/gm;
const TEXT_TYPE = /^text\/[a-z0-9.!#$&^_+-]+$/;
/** Members of front matter that are no metadata. */
const OWN = ["title", "tags", "content_type", "metadata"] as const;

/** Reports whether a context of this type can be a file of a folder. */
export function isTextType(contentType: string): boolean {
  return TEXT_TYPE.test(contentType);
}

/** Parses the text of a file. Front matter that is none, or has more than JSON can keep, is part of the body. */
export function parseNote(text: string): ParsedNote {
  const { head, body } = split(text);
  if (head === "") return { note: plain(body) };
  try {
    return { note: { ...fieldsOf(yamlOf(head)), body } };
  } catch (error) {
    return {
      note: plain(text.slice(bomOf(text).length)),
      remark: `its front matter is kept as text: ${reasonOf(error)}`,
    };
  }
}

/** Returns the digest of a note, by which notes are compared. It can be had without the body, from its hash. */
export function digestOf({ body, ...fields }: Note): string {
  return digestOfFields(fields, bodyHash(body));
}

/** Returns the digest of a note whose body has this hash: the 12 digits that an etag has. */
export function digestOfFields({ title, tags, metadata, contentType }: Omit<Note, "body">, hash: string): string {
  return sha256Hex(canonicalJson([title, tags, metadata, contentType, hash]));
}

/** Returns the hash of a body as an etag has it. */
export function bodyHash(body: string): string {
  return sha256Hex(body).slice(0, 12);
}

/**
 * Returns the text of a file. `like`: the text that it replaces; its byte order mark stays, and its front matter too
 * where that says the same. Throws Fault `invalid_input` for a note that no file can hold.
 */
export function composeNote(note: Note, like = ""): string {
  const before = split(like);
  const bom = bomOf(like);
  const sameHead = (head: string) => isSame(note, `${bom}${head}${note.body}`);
  if (like !== "" && sameHead(before.head)) return `${bom}${before.head}${note.body}`;
  const end = (before.head === "" ? note.body : before.head).includes("\r\n") ? "\r\n" : "\n";
  const lines = headLines(note);
  const head = ["---", ...lines, "---", ""].join(end);
  // A body that itself begins like front matter, or with a byte order mark, needs one before it, unless the file has
  // it so.
  const bare = `${bom}${note.body}`;
  const isPlain = bare === like || parseNote(bare).remark === undefined;
  if (lines.length === 0 && isPlain && sameHead("")) return bare;
  if (sameHead(head)) return `${bom}${head}${note.body}`;
  throw new Fault("invalid_input", "Its title, tags or metadata cannot be written as front matter", {
    hint: "Write it with fewer or shorter members of metadata.",
  });
}

function isSame(note: Note, text: string): boolean {
  const again = parseNote(text).note;
  return again.body === note.body && digestOf(again) === digestOf(note);
}

function bomOf(text: string): string {
  return text.startsWith(BOM) ? BOM : "";
}

/** Splits a text into front matter, with the lines around it, and body. The byte order mark is part of neither. */
function split(text: string): { head: string; body: string } {
  const rest = text.slice(bomOf(text).length);
  const open = OPEN.exec(rest)?.[0].length;
  if (open === undefined) return { head: "", body: rest };
  CLOSE.lastIndex = open;
  const close = CLOSE.exec(rest.slice(0, MAX_HEAD_CHARS));
  if (close === null) return { head: "", body: rest };
  const end = close.index + close[0].length;
  return { head: rest.slice(0, end), body: rest.slice(end) };
}

function plain(body: string): Note {
  return { title: "", tags: [], metadata: {}, contentType: MARKDOWN, body };
}

/** Returns the members of front matter. Throws an Error that says why there are none. */
function yamlOf(head: string): Record<string, unknown> {
  const inner = head.replace(OPEN, "").replace(/^---[ \t]*(?:\r?\n)?$/m, "");
  let parsed: unknown;
  try {
    parsed = Bun.YAML.parse(inner);
  } catch (error) {
    throw new Error(`it is not YAML (${reasonOf(error).replace(/^YAML Parse error: /, "")})`);
  }
  const value = jsonOf(parsed ?? {}, 0, { left: MAX_VALUES });
  if (!isObject(value)) throw new Error("it is no list of members");
  return value;
}

/** Returns a value of YAML as JSON has it. What has aliases is counted as often as it is named. */
function jsonOf(value: unknown, depth: number, budget: { left: number }): unknown {
  budget.left -= 1;
  if (budget.left < 0) throw new Error(`it has more than ${MAX_VALUES} values`);
  if (depth > MAX_DEPTH) throw new Error(`it has more than ${MAX_DEPTH} levels`);
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "string") {
    if (value.isWellFormed()) return value;
    throw new Error("it has a lone surrogate");
  }
  if (typeof value === "number") {
    if (Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value)))
      return value === 0 ? 0 : value;
    throw new Error(`it has the number ${value}, which is not kept exactly; write it in quotes`);
  }
  if (Array.isArray(value)) return value.map((item) => jsonOf(item, depth + 1, budget));
  if (!isObject(value)) throw new Error("it has a value that JSON cannot have");
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, jsonOf(item, depth + 1, budget)]));
}

function fieldsOf(members: Record<string, unknown>): Omit<Note, "body"> {
  const others = Object.entries(members).filter(([name]) => !OWN.includes(name as (typeof OWN)[number]));
  const { title, tags, content_type: type, metadata: nested } = members;
  const contentType = type === undefined || type === null ? MARKDOWN : essenceOf(String(type));
  if (!isTextType(contentType)) throw new Error(`its content_type ${JSON.stringify(type)} is no type of text`);
  const more = nested === undefined || nested === null ? [] : isObject(nested) ? Object.entries(nested) : undefined;
  return {
    title: scalarText(title),
    tags: tagsOf(tags),
    metadata: Object.fromEntries([...others, ...(more ?? [["metadata", nested] as const])]),
    contentType,
  };
}

function scalarText(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Tags are a list, or a text with commas between them. */
function tagsOf(value: unknown): string[] {
  const items = typeof value === "string" ? value.split(",") : Array.isArray(value) ? value : [value];
  const texts = items.map((item) => (typeof value === "string" ? scalarText(item).trim() : scalarText(item)));
  return [...new Set(texts.filter((tag) => tag !== ""))];
}

function headLines({ title, tags, metadata, contentType }: Note): string[] {
  const members = Object.entries(metadata);
  const own = members.filter(([name]) => OWN.includes(name as (typeof OWN)[number]));
  return [
    ...(title === "" ? [] : [`title: ${yamlText(title)}`]),
    ...(tags.length === 0 ? [] : [`tags: [${tags.map(yamlText).join(", ")}]`]),
    ...(contentType === MARKDOWN ? [] : [`content_type: ${contentType}`]),
    ...members.filter(([name]) => !OWN.includes(name as (typeof OWN)[number])).map(memberLine),
    ...(own.length === 0 ? [] : [`metadata: ${visible(Object.fromEntries(own))}`]),
  ];
}

function memberLine([name, value]: readonly [string, unknown]): string {
  return `${yamlText(name)}: ${typeof value === "string" ? yamlText(value) : visible(value)}`;
}

/** Words that are no text in some version of YAML. */
const RESERVED = /^(?:true|false|null|yes|no|on|off|y|n|nan|inf)$/i;
const PLAIN = /^[A-Za-z_][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*$/;

/** Returns a text as YAML has it: as it is where that is the same, else in quotes. */
function yamlText(text: string): string {
  return PLAIN.test(text) && !RESERVED.test(text) ? text : visible(text);
}

/** Returns JSON, which YAML is a superset of, on one line in the eyes of YAML too. */
function visible(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\u009f\u2028\u2029\ufeff]/g,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
