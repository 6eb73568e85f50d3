// cairn config show|validate|example: the settings in force, whether they can be used, and a file to start from. Secrets are named, never shown.

import { exampleFile } from "../config/example.ts";
import { type Loaded, loadSettings } from "../config/load.ts";
import { readSecrets, secretOrigins } from "../config/secrets.ts";
import { SETTING_ROWS, SETTING_TABLES } from "../features/index.ts";
import { columns } from "../lib/columns.ts";
import { checkSettings } from "../node/index.ts";
import { redactText } from "../observe/redact.ts";
import { type Command, type Invocation, type Option, textOption } from "./command.ts";
import { say, writeData } from "./output.ts";

const PLACE: readonly Option[] = [
  { flags: "--data <dir>", help: "the data folder, whose cairn.toml is read" },
  { flags: "--config <file>", help: "this settings file instead", offers: "files" },
];

export const configShow: Command = {
  words: ["config", "show"],
  summary: "show the settings a node would start with",
  options: [
    ...PLACE,
    { flags: "--origin", help: "also where each value comes from" },
    { flags: "--json", help: "as JSON" },
  ],
  async run(invocation) {
    const loaded = load(invocation);
    for (const warning of loaded.warnings) say(warning);
    const rows = SETTING_ROWS.map(([key]) => ({
      setting: key,
      value: shown(loaded.all[key]),
      origin: loaded.origins.get(key) ?? "default",
    }));
    const secrets = secretOrigins(invocation.env);
    if (invocation.options["json"] === true) {
      await writeData(`${JSON.stringify({ settings: rows, secrets }, null, 2)}\n`);
      return 0;
    }
    const withOrigin = invocation.options["origin"] === true;
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

/** A value as JSON has it; whatever looks like a key is not shown. */
function shown(value: unknown): string | number | boolean | string[] | null {
  if (Array.isArray(value)) return value.map((item) => redactText(String(item)));
  if (typeof value === "string") return redactText(value);
  return typeof value === "number" || typeof value === "boolean" ? value : null;
}

export const configValidate: Command = {
  words: ["config", "validate"],
  summary: "check settings, secrets and policy file as a start would; exits 20 or 21 with what is wrong",
  options: [...PLACE, { flags: "--json", help: "as JSON" }],
  async run(invocation) {
    const loaded = load(invocation);
    const secrets = readSecrets(invocation.env);
    const warnings = [...loaded.warnings, ...checkSettings(loaded.settings, secrets)];
    if (invocation.options["json"] === true) {
      await writeData(`${JSON.stringify({ ok: true, data: loaded.settings.data, warnings })}\n`);
      return 0;
    }
    for (const warning of warnings) say(warning);
    await writeData(`the settings can be used; ${loaded.origins.size} are no defaults\n`);
    return 0;
  },
};

export const configExample: Command = {
  words: ["config", "example"],
  summary: "print a settings file with every setting and its default, all commented out",
  more: "cairn config example > cairn.toml, then put it into the data folder or name it with --config.",
  async run() {
    await writeData(exampleFile(SETTING_ROWS));
    return 0;
  },
};

function load(invocation: Invocation): Loaded {
  const data = textOption(invocation, "data");
  return loadSettings({
    tables: SETTING_TABLES,
    flags: data === undefined ? {} : { data },
    env: invocation.env,
    configFile: textOption(invocation, "config"),
  });
}
