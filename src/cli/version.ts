// cairn version: what this executable is made of. Asks no node.

import { buildInfo } from "../config/build-info.ts";
import { columns } from "../lib/columns.ts";
import { Store } from "../store/store.ts";
import type { Command } from "./command.ts";
import { writeData } from "./output.ts";

export const version: Command = {
  words: ["version"],
  summary: "show the versions of cairn and of what is inside",
  options: [{ flags: "--json", help: "as JSON" }],
  async run(invocation) {
    const { version, commit, bun, tailscale, go } = buildInfo;
    const shown = { version, commit, bun, sqlite: Store.sqliteVersion(), tailscale, go };
    await writeData(
      invocation.options["json"] === true
        ? `${JSON.stringify(shown)}\n`
        : columns(Object.entries(shown).map(([name, value]) => [name === "version" ? "cairn" : name, value])),
    );
    return 0;
  },
};
