// Loads the values of all settings (flags > environment > file > default) and records where each came from. Refuses
// unknown names and suggests the nearest known one.

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { Fault } from "../lib/fault.ts";
import { nearest } from "../lib/nearest.ts";
import { readBounded } from "../lib/read-file.ts";
import { fileReason } from "../lib/reason-of.ts";
import { textOfUtf8, withoutBom } from "../lib/utf8.ts";
import type { Environment } from "./environment.ts";
import { parseSetting, type SettingValue } from "./parse.ts";
import { defaultDataDir } from "./paths.ts";
import { SECRET_VARIABLE } from "./secret-reference.ts";
import { SECRET_NAMES } from "./secrets.ts";
import { SEED_VARIABLES } from "./seed-variables.ts";
import { envOf, flagOf, type SettingRow, type SettingTable } from "./setting.ts";
import { type Settings, settingRows } from "./settings.ts";
import { OTHER_VARIABLES } from "./variables.ts";

export interface LoadOptions {
  /** Values of flags by setting key, as parsed from the command line. */
  flags?: Readonly<Record<string, string | boolean | readonly string[] | undefined>>;
  env: Environment;
  /** Settings of the features (`SETTING_TABLES`). Default: none, so only the node's own settings are known. */
  tables?: readonly SettingTable[];
  /** Values by setting key for what is not set, in place of the defaults of the table. */
  defaults?: Readonly<Record<string, SettingValue>>;
  /** `--config FILE`. Default: `<data>/cairn.toml`, if it exists. */
  configFile?: string | undefined;
  /** Folder from which relative paths are taken. Default: the working folder; errors then name the file as given. */
  cwd?: string | undefined;
}

/** All settings and where they came from. */
export interface Loaded {
  settings: Settings & { readonly data: string };
  /** Every setting by name, including those of features. */
  all: Readonly<Record<string, SettingValue>>;
  /** Where each value that is not a default came from, such as `--tags`, `CAIRN_TAGS` or the file's path. */
  origins: ReadonlyMap<string, string>;
  /** The settings file that was read; undefined: there is none. */
  file: string | undefined;
  /** Likely mistakes that are not refused, for the log. */
  warnings: readonly string[];
  /** What variables of tas-mcp have set, for the log. */
  notes: readonly string[];
}

/** Variables that may begin with CAIRN_ and are not settings. */
const NO_SETTINGS = new Set([
  ...Object.keys(OTHER_VARIABLES),
  ...SECRET_NAMES.flatMap((name) => [name, `${name}_FILE`]),
]);
const MAX_FILE_BYTES = 1024 * 1024;

/** Loads the settings. Throws Fault `config_invalid`. */
export function loadSettings(options: LoadOptions): Loaded {
  refuseUnknownZone(options.env);
  const rows = new Map(settingRows(options.tables ?? []));
  const origins = new Map<string, string>();
  const values = new Map<string, SettingValue>();
  const set = (key: string, raw: unknown, origin: string): void => {
    const row = rows.get(key);
    if (row === undefined) return;
    const value = parseSetting(key, row, raw, origin);
    values.set(key, row.kind === "path" ? resolve(options.cwd ?? "", String(value)) : value);
    origins.set(key, origin);
  };
  const setFromVariablesAndFlags = (): void => {
    for (const [name, key, text] of seedVariables(options.env, rows)) set(key, text, name);
    for (const key of rows.keys()) {
      const variable = options.env[envOf(key)];
      if (variable !== undefined && variable.trim() !== "") set(key, variable, envOf(key));
      const given = options.flags?.[key];
      if (given !== undefined) set(key, given, flagOf(key));
    }
  };

  // Twice: the data folder decides which file is read, and variables and flags win over that file.
  setFromVariablesAndFlags();
  const given = values.get("data");
  const data = typeof given === "string" ? given : defaultDataDir(options.env);
  const file = options.configFile ?? options.env["CAIRN_CONFIG"];
  const path = fileFrom(options.cwd, file ?? join(data, "cairn.toml"));
  const isRead = file !== undefined || existsSync(path);
  if (isRead) {
    for (const [key, raw] of readFile(path, rows)) {
      if (key === "data" && file === undefined) throw dataInOwnFile(path);
      set(key, raw, path);
    }
    setFromVariablesAndFlags();
  }
  for (const [key, row] of rows) if (!values.has(key)) values.set(key, options.defaults?.[key] ?? row.default);
  if (values.get("data") === undefined) values.set("data", data);

  const all = Object.fromEntries(values);
  const settings = all as Loaded["settings"];
  const warnings = unknownVariables(options.env, rows);
  return { settings, all, origins, file: isRead ? path : undefined, warnings, notes: notesOf(values, origins) };
}

/** Returns the variables of tas-mcp that are set: name, setting, and text. Fault where the setting's own differs. */
function seedVariables(env: Environment, rows: ReadonlyMap<string, SettingRow>): [string, string, string][] {
  return Object.entries(SEED_VARIABLES).flatMap(([name, { key, read }]): [string, string, string][] => {
    const given = env[name] ?? "";
    const row = rows.get(key);
    if (given.trim() === "" || row === undefined) return [];
    const text = read(given);
    const own = env[envOf(key)] ?? "";
    if (own.trim() === "") return [[name, key, text]];
    const values = [parseSetting(key, row, text, name), parseSetting(key, row, own, envOf(key))];
    if (JSON.stringify(values[0]) === JSON.stringify(values[1])) return [];
    throw new Fault("config_invalid", `The variables ${name} and ${envOf(key)} both set ${key}, to different values`, {
      hint: `Unset one of them: ${name}=${given}, ${envOf(key)}=${own}.`,
    });
  });
}

function notesOf(values: ReadonlyMap<string, SettingValue>, origins: ReadonlyMap<string, string>): string[] {
  return Object.entries(SEED_VARIABLES)
    .filter(([name, { key }]) => origins.get(key) === name)
    .map(([name, { key }]) => `The variable ${name} sets ${key} to ${String(values.get(key))}`);
}

/** Throws where the engine does not know the zone of TZ: it takes UTC in silence, and backups come at other hours. */
function refuseUnknownZone(env: Environment): void {
  const zone = env["TZ"]?.replace(/^:/, "") || undefined;
  if (zone === undefined) return;
  try {
    // Offsets such as +02:00 are zones of Intl, but not of TZ.
    if (!/^[+-]/.test(zone)) return void new Intl.DateTimeFormat("en", { timeZone: zone });
  } catch {}
  throw new Fault("config_invalid", `The variable TZ names the time zone ${JSON.stringify(zone)}, which is not known`, {
    hint: "Write it as Europe/Berlin, or unset TZ to use the machine's own.",
  });
}

function fileFrom(cwd: string | undefined, file: string): string {
  return cwd === undefined ? file : resolve(cwd, file);
}

function dataInOwnFile(path: string): Fault {
  return new Fault("config_invalid", `${path} is in the data folder and cannot name another data folder`, {
    hint: "Name the data folder with --data or CAIRN_DATA.",
  });
}

function readFile(path: string, rows: ReadonlyMap<string, SettingRow>): [string, unknown][] {
  let parsed: unknown;
  try {
    parsed = Bun.TOML.parse(withoutBom(textOfUtf8(readBounded(path, MAX_FILE_BYTES), "it")));
  } catch (cause) {
    const reason = fileReason(cause);
    throw new Fault("config_invalid", `Cannot read the settings file ${path}: ${reason}`, {
      hint: "Fix the file, or name another one with --config.",
      cause,
    });
  }
  return flatten(parsed, "").map(([name, raw]) => {
    if (rows.has(name)) return [name, raw];
    const near = nearest(name, rows.keys());
    throw new Fault("config_invalid", `Unknown setting ${JSON.stringify(name)} in ${path}`, {
      hint: near === undefined ? "docs/settings.md lists all settings." : `Did you mean ${near}?`,
    });
  });
}

/** Returns the values of TOML tables by dotted name: `[access] admins = []` is `access.admins`. */
function flatten(value: unknown, prefix: string): [string, unknown][] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [[prefix, value]];
  return Object.entries(value).flatMap(([name, inner]) => flatten(inner, prefix === "" ? name : `${prefix}.${name}`));
}

function unknownVariables(env: Environment, rows: ReadonlyMap<string, SettingRow>): string[] {
  const known = [...rows.keys()].map(envOf);
  return Object.keys(env)
    .filter((name) => name.startsWith("CAIRN_") && !known.includes(name) && !NO_SETTINGS.has(name))
    .filter((name) => !name.startsWith(SECRET_VARIABLE))
    .map((name) => {
      const near = nearest(name, known);
      return `The variable ${name} is not a setting and is ignored${near === undefined ? "" : `; did you mean ${near}?`}`;
    });
}
