// cairn paths: where a node with this data folder keeps what.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { loadSettings } from "../config/load.ts";
import { socketCandidates, socketPaths } from "../config/paths.ts";
import { SETTING_TABLES } from "../features/index.ts";
import { columns } from "../lib/columns.ts";
import { type Command, textOption } from "./command.ts";
import { writeData } from "./output.ts";

export const paths: Command = {
  words: ["paths"],
  summary: "show where a node keeps its data, settings and sockets",
  options: [
    { flags: "--data <dir>", help: "of the node with this data folder" },
    { flags: "--config <file>", help: "with this settings file", offers: "files" },
    { flags: "--json", help: "as JSON" },
  ],
  async run(invocation) {
    const data = textOption(invocation, "data");
    const file = textOption(invocation, "config");
    const { settings } = loadSettings({
      tables: SETTING_TABLES,
      flags: data === undefined ? {} : { data },
      env: invocation.env,
      configFile: file,
    });
    const running = socketCandidates(settings.data, invocation.env).find((path) => existsSync(path));
    const shown = {
      data: settings.data,
      config: file ?? invocation.env["CAIRN_CONFIG"] ?? join(settings.data, "cairn.toml"),
      store: join(settings.data, "store"),
      tailnet: join(settings.data, "tailnet"),
      library: join(settings.data, "lib"),
      policy: settings["access.policy_file"] ?? null,
      socket: running ?? socketPaths(settings.data, invocation.env).cairn,
      running: running !== undefined,
    };
    await writeData(
      invocation.options["json"] === true
        ? `${JSON.stringify(shown)}\n`
        : columns(Object.entries(shown).map(([name, value]) => [name, value === null ? "none" : String(value)])),
    );
    return 0;
  },
};
