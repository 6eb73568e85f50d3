// cairn config show|validate|example: shows the effective settings, checks them, and prints an example file. Secrets
// are named, never shown.

import { exampleFile } from "../config/example.ts";
import { readSecrets, secretOrigins, secretWarnings } from "../config/secrets.ts";
import { SETTING_ROWS } from "../features/index.ts";
import { columns } from "../lib/columns.ts";
import { checkSettings } from "../node/index.ts";
import { redactText } from "../observe/redact.ts";
import { type Command, isSet, type Option } from "./command.ts";
import { explicitText, localSettings } from "./local-settings.ts";
import { say, showResult, wantsJson, writeData } from "./output.ts";

/** Which file is read, for the help. */
const WHICH_FILE = `Reads cairn.toml of the data folder, if there is one: that of --data DIR, CAIRN_DATA or the default.
--config FILE, or CAIRN_CONFIG, names another file.`;

const SOURCE: readonly Option[] = [
  { flags: "--data <dir>", help: "the data folder, whose cairn.toml is read" },
  { flags: "--config <file>", help: "this settings file instead", offers: "files" },
];

/** `cairn config show`. */
export const configShow: Command = {
  words: ["config", "show"],
  summary: "show the settings a node would start with",
  more: WHICH_FILE,
  usage: "cairn config show --config FILE",
  options: [
    ...SOURCE,
    { flags: "--origin", help: "also show where each value comes from" },
    { flags: "--json", help: "print JSON" },
  ],
  async run(invocation) {
    const loaded = localSettings(invocation);
    for (const warning of loaded.warnings) say(warning);
    const rows = SETTING_ROWS.map(([key]) => ({
      setting: key,
      value: shown(loaded.all[key]),
      origin: loaded.origins.get(key) ?? "default",
    }));
    const secrets = secretOrigins(invocation.env);
    if (wantsJson(invocation)) {
      await writeData(`${JSON.stringify({ settings: rows, secrets }, null, 2)}\n`);
      return 0;
    }
    const withOrigin = isSet(invocation, "origin");
    const table = rows.map(({ setting, value, origin }) => [
      setting,
      value === null ? "" : Array.isArray(value) ? value.join(",") : String(value),
      ...(withOrigin ? [origin] : []),
    ]);
    const named = secrets.map(({ name, origin }) => [name, "set, not shown", ...(withOrigin ? [origin] : [])]);
    await writeData(columns([...table, ...named]));
    return 0;
  },
};

/** Returns a value as JSON; anything that looks like a key is redacted. */
function shown(value: unknown): string | number | boolean | string[] | null {
  if (Array.isArray(value)) return value.map((item) => redactText(String(item)));
  if (typeof value === "string") return redactText(value);
  return typeof value === "number" || typeof value === "boolean" ? value : null;
}

/** `cairn config validate`. */
export const configValidate: Command = {
  words: ["config", "validate"],
  summary: "check settings, secrets and policy file as a start does; exits 20 or 21 when they are invalid",
  more: WHICH_FILE,
  usage: "cairn config validate --config FILE",
  options: [...SOURCE, { flags: "--json", help: "print JSON" }],
  async run(invocation) {
    const loaded = localSettings(invocation);
    const secrets = readSecrets(invocation.env);
    const warnings = [
      ...loaded.warnings,
      ...secretWarnings(invocation.env),
      ...checkSettings(loaded.settings, secrets, invocation.env),
    ];
    if (!wantsJson(invocation)) for (const warning of warnings) say(warning);
    const { file = null, settings } = loaded;
    const read = file === null ? `there is no settings file in ${settings.data}` : `${file} was read`;
    const text = `the settings are valid; ${explicitText(loaded)}; ${read}\n`;
    await showResult(invocation, { ok: true, data: settings.data, file, warnings }, text);
    return 0;
  },
};

/** `cairn config example`. */
export const configExample: Command = {
  words: ["config", "example"],
  summary: "print a settings file with every setting and its default, all commented out",
  more: "cairn config example > cairn.toml, then move the file into the data folder or name it with --config.",
  async run() {
    await writeData(exampleFile(SETTING_ROWS));
    return 0;
  },
};
