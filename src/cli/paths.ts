// cairn paths: where a node with this data folder keeps its files and sockets.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { socketCandidates, socketPaths } from "../config/paths.ts";
import { columns } from "../lib/columns.ts";
import { type Command, textOption } from "./command.ts";
import { localSettings } from "./local-settings.ts";
import { showResult } from "./output.ts";

/** `cairn paths`. */
export const paths: Command = {
  words: ["paths"],
  summary: "show where a node keeps its data, settings and sockets",
  options: [
    { flags: "--data <dir>", help: "of the node with this data folder" },
    { flags: "--config <file>", help: "with this settings file", offers: "files" },
    { flags: "--json", help: "print JSON" },
  ],
  async run(invocation) {
    const { settings } = localSettings(invocation);
    const running = socketCandidates(settings.data, invocation.env).find((path) => existsSync(path));
    const shown = {
      data: settings.data,
      config: textOption(invocation, "config") ?? invocation.env["CAIRN_CONFIG"] ?? join(settings.data, "cairn.toml"),
      store: join(settings.data, "store"),
      tailnet: join(settings.data, "tailnet"),
      library: join(settings.data, "lib"),
      policy: settings["access.policy_file"] ?? null,
      socket: running ?? socketPaths(settings.data, invocation.env).cairn,
      running: running !== undefined,
    };
    const rows = Object.entries(shown).map(([name, value]) => [name, value === null ? "none" : String(value)]);
    await showResult(invocation, shown, columns(rows));
    return 0;
  },
};
