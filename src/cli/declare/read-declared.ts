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
  /** Its file, for refusals. */
  source: string;
}

const ENDINGS: ReadonlySet<string> = new Set([".json", ".yaml", ".yml", ".toml"]);
/** Files of a folder. */
const MAX_FILES = 1000;
/** Values of a file, and how deep they are: an alias of YAML may stand for many, or for itself. */
const MAX_VALUES = 200_000;
const MAX_DEPTH = 64;
const MAX_SOURCE = 200;

/**
 * Returns the declarations of a file, of the files of a folder, or of stdin for `-`. `prunes`: what is left out ends,
 * so a file without any, and a folder with folders in it, are refused. Fault `invalid_input`.
 */
export async function readDeclared(path: string, { prunes = false } = {}): Promise<Declared[]> {
  const files = isFolder(path) ? filesOf(path, prunes) : [path];
  const all: Declared[] = [];
  for (const file of files) {
    const value = parse(await readInput(file), file);
    refuseTangled(value, file);
    const found = declaredIn(value, file);
    if (found.length === 0 && prunes) throw declaresNothing(file, PRUNE_HINT);
    all.push(...found);
  }
  if (all.length > 0) return all;
  throw declaresNothing(
    path,
    prunes
      ? PRUNE_HINT
      : "Write an object with kind and name, and what it declares beside these; or a list of such objects.",
  );
}

const PRUNE_HINT =
  "With --prune it may be a file that was cut. Remove the file, or leave --prune out; the last of a kind goes by `cairn context delete fleet/PLACE/NAME`.";

function declaresNothing(path: string, hint: string): Fault {
  return new Fault("invalid_input", `${path === "-" ? "stdin" : path} declares nothing`, { hint });
}

/** Throws Fault `invalid_input` where a value is too deep or too large to be looked at, as one that contains itself. */
function refuseTangled(value: unknown, file: string): void {
  let count = 0;
  const look = (each: unknown, depth: number): void => {
    count += 1;
    if (depth > MAX_DEPTH || count > MAX_VALUES) {
      const what = depth > MAX_DEPTH ? `is nested deeper than ${MAX_DEPTH}` : `has more than ${MAX_VALUES} values`;
      throw new Fault("invalid_input", `${file} ${what}`, {
        hint: "Aliases of YAML (*name) stand for all that their anchor has: see whether one stands for itself, or for many.",
      });
    }
    if (typeof each === "object" && each !== null) for (const inner of Object.values(each)) look(inner, depth + 1);
  };
  look(value, 0);
}

function isFolder(path: string): boolean {
  return path !== "-" && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Returns the files of a folder, not of those in it, by name. A link is followed: with --prune a file that is left out
 * ends what it declares. */
function filesOf(folder: string, prunes: boolean): string[] {
  let all: string[];
  try {
    all = readdirSync(folder).sort();
  } catch (cause) {
    throw new Fault("invalid_input", `Cannot read the folder ${folder}: ${fileReason(cause)}`, { cause });
  }
  const folders = all.filter((name) => isFolder(join(folder, name)));
  const [inner] = folders.filter((name) => !name.startsWith("."));
  if (prunes && inner !== undefined)
    throw new Fault("invalid_input", `${folder} has the folder ${inner}, which is not read`, {
      hint: "With --prune what its files declare would be removed. Put all files into one folder, or leave --prune out.",
    });
  const names = all.filter((name) => ENDINGS.has(extname(name).toLowerCase()) && !folders.includes(name));
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
  const source = file === "-" ? "stdin" : file.slice(-MAX_SOURCE);
  return [{ kind, name, declared: plain(declared, file), source }];
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
