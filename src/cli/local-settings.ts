// The settings that a node on this machine would start with, by the options `--data` and `--config`.

import { type Loaded, loadSettings } from "../config/load.ts";
import { SETTING_TABLES } from "../features/index.ts";
import { counted } from "../lib/counted.ts";
import { type Invocation, textOption } from "./command.ts";

/** Loads the settings. Throws Fault `config_invalid` where they cannot be used. */
export function localSettings(invocation: Invocation): Loaded {
  const data = textOption(invocation, "data");
  return loadSettings({
    tables: SETTING_TABLES,
    flags: data === undefined ? {} : { data },
    env: invocation.env,
    configFile: textOption(invocation, "config"),
  });
}

/** Returns how many settings have been given, in words. */
export function explicitText({ origins }: Loaded): string {
  return `${counted(origins.size, "setting is", "settings are")} set explicitly`;
}
