// Reads declarations from files and folders: JSON, YAML and TOML, one declaration or many in each.

import { readdirSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { isObject } from "../../lib/json-object.ts";
import { fileReason, reasonOf } from "../../lib/reason-of.ts";
import { shownValue } from "../../lib/schema-issue.ts";
import { withoutBom } from "../../lib/utf8.ts";
import { parseJsonInput, readInput } from "../input.ts";

/** A declaration as it is sent. */
export interface Declared {
  kind: string;
  name: string;
  declared: Record<string, unknown>;
}

const ENDINGS: ReadonlySet<string> = new Set([".json", ".yaml", ".yml", ".toml"]);
/** Files of a folder. */
const MAX_FILES = 1000;

/** Returns the declarations of a file, of the files of a folder, or of stdin for `-`. Fault `invalid_input`. */
export async function readDeclared(path: string): Promise<Declared[]> {
  const files = isFolder(path) ? filesOf(path) : [path];
  const all: Declared[] = [];
  for (const file of files) all.push(...declaredIn(parse(await readInput(file), file), file));
  if (all.length > 0) return all;
  throw new Fault("invalid_input", `${path} declares nothing`, {
    hint: "Write an object with kind and name, and what it declares beside these; or a list of such objects.",
  });
}

function isFolder(path: string): boolean {
  return path !== "-" && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Returns the files of a folder, not of those in it, by name. A link is followed: with --prune a file that is left out
 * ends what it declares. */
function filesOf(folder: string): string[] {
  let names: string[];
  try {
    names = readdirSync(folder, { withFileTypes: true })
      .filter((entry) => ENDINGS.has(extname(entry.name).toLowerCase()) && !isFolder(join(folder, entry.name)))
      .map(({ name }) => name)
      .sort();
  } catch (cause) {
    throw new Fault("invalid_input", `Cannot read the folder ${folder}: ${fileReason(cause)}`, { cause });
  }
  if (names.length <= MAX_FILES) return names.map((name) => join(folder, name));
  throw new Fault("invalid_input", `${folder} has ${counted(names.length, "file")}; at most ${MAX_FILES} are read`);
}

/** Parses a text by the ending of its file; that of stdin as YAML, which JSON is too. */
function parse(text: string, file: string): unknown {
  const ending = extname(file).toLowerCase();
  if (ending === ".json") return parseJsonInput(text, file);
  try {
    return ending === ".toml" ? Bun.TOML.parse(withoutBom(text)) : Bun.YAML.parse(withoutBom(text));
  } catch (error) {
    const format = ending === ".toml" ? "TOML" : "YAML";
    const reason = reasonOf(error).replace(/^(?:YAML|TOML) Parse error: /, "");
    throw new Fault("invalid_input", `${file} is not ${format}: ${reason}`, {
      hint: "Files end with .json, .yaml, .yml or .toml.",
    });
  }
}

/** One object, a list, several documents of YAML, or `declarations` with a list (as TOML writes it). */
function declaredIn(value: unknown, file: string): Declared[] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value.flatMap((each) => declaredIn(each, file));
  if (!isObject(value)) throw notDeclared(file, value);
  const { declarations, ...others } = value;
  if (Array.isArray(declarations) && Object.keys(others).length === 0) return declaredIn(declarations, file);
  const { kind, name, ...declared } = value;
  if (typeof kind !== "string" || typeof name !== "string") throw notDeclared(file, value);
  return [{ kind, name, declared: plain(declared, file) }];
}

function notDeclared(file: string, value: unknown): Fault {
  return new Fault("invalid_input", `${file} has something without kind and name: ${shownValue(value)}`, {
    hint: "Write kind: probe and name: website, and what it declares beside these.",
  });
}

/** Returns what JSON keeps of an object. Dates of YAML and TOML become text; what JSON has not is refused. */
function plain(declared: Record<string, unknown>, file: string): Record<string, unknown> {
  try {
    return JSON.parse(JSON.stringify(declared, refuseInexact)) as Record<string, unknown>;
  } catch (error) {
    throw new Fault("invalid_input", `${file} has a value that JSON does not have: ${reasonOf(error)}`);
  }
}

function refuseInexact(name: string, value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) throw new Error(`${name} is ${value}`);
  return value;
}
