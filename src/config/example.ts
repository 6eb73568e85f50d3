// A settings file with every setting, commented out, made of the rows of their tables.

import { flagOf, type SettingRow } from "./setting.ts";

/** TOML text: each line that sets something begins with `#`, so the file changes nothing until a line is uncommented. */
export function exampleFile(all: readonly (readonly [string, SettingRow])[]): string {
  const top = all.filter(([key]) => !key.includes("."));
  const tables = Map.groupBy(
    all.filter(([key]) => key.includes(".")),
    ([key]) => key.slice(0, key.indexOf(".")),
  );
  const parts = [
    "# Settings of a cairn node: cairn.toml in the data folder, or the file that --config names.",
    "# Flags win over variables, variables over this file. Keys of the tailnet do not belong here: TS_AUTHKEY, TS_AUTHKEY_FILE.",
    "",
    ...top.flatMap(([key, row]) => lines(key, key, row)),
    ...[...tables].flatMap(([table, rows]) => [
      `[${table}]`,
      "",
      ...rows.flatMap(([key, row]) => lines(key, key.slice(table.length + 1), row)),
    ]),
  ];
  return `${parts.join("\n").trimEnd()}\n`;
}

function lines(key: string, name: string, row: SettingRow): string[] {
  // A file in the data folder cannot name another one.
  if (key === "data") return [`# ${row.help} Only in a file that --config names.`, '#data = "/var/lib/cairn"', ""];
  const choices = row.choices === undefined ? "" : ` One of ${row.choices.join(", ")}.`;
  return [`# ${row.help}${choices} (${flagOf(key)})`, `#${name} = ${defaultOf(row)}`, ""];
}

function defaultOf(row: SettingRow): string {
  if (Array.isArray(row.default)) return "[]";
  return row.default === undefined ? '""' : JSON.stringify(row.default);
}
