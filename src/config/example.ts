// Makes an example settings file from the setting tables, with every setting commented out.

import { flagOf, helpOf, type SettingRow } from "./setting.ts";

/** Returns the TOML text. Every line that sets something begins with `#`, so the file as it is changes nothing. */
export function exampleFile(all: readonly (readonly [string, SettingRow])[]): string {
  const names = new Set(all.map(([key]) => key));
  // A name of TOML is a value or a table: beside `fleet` there can be no `[fleet]`.
  const isInTable = (key: string) => key.includes(".") && !names.has(tableOf(key));
  const top = all.filter(([key]) => !isInTable(key));
  const tables = Map.groupBy(
    all.filter(([key]) => isInTable(key)),
    ([key]) => tableOf(key),
  );
  const parts = [
    "# Settings of a cairn node: cairn.toml in the data folder, or the file that --config names.",
    "# Flags win over variables, variables over this file. Auth keys do not belong here: use TS_AUTHKEY or TS_AUTHKEY_FILE.",
    "",
    ...top.flatMap(([key, row]) => lines(key, key.includes(".") ? JSON.stringify(key) : key, row)),
    ...[...tables].flatMap(([table, rows]) => [
      `[${table}]`,
      "",
      ...rows.flatMap(([key, row]) => lines(key, key.slice(table.length + 1), row)),
    ]),
  ];
  return `${parts.join("\n").trimEnd()}\n`;
}

function tableOf(key: string): string {
  return key.slice(0, key.indexOf("."));
}

function lines(key: string, name: string, row: SettingRow): string[] {
  // A settings file in the data folder cannot name another data folder.
  if (key === "data") return [`# ${row.help} Only in a file that --config names.`, '#data = "/var/lib/cairn"', ""];
  const choices = row.choices === undefined ? "" : ` One of ${row.choices.join(", ")}.`;
  return [`# ${helpOf(row)}${choices} (${flagOf(key)})`, `#${name} = ${defaultOf(row)}`, ""];
}

function defaultOf(row: SettingRow): string {
  if (Array.isArray(row.default)) return "[]";
  return row.default === undefined ? '""' : JSON.stringify(row.default);
}
