// cairn version: the versions of this executable and of the parts in it. Asks no node.

import { buildInfo } from "../config/build-info.ts";
import { columns } from "../lib/columns.ts";
import { KNOWN_LEVEL } from "../operation/known-level.ts";
import { Store } from "../store/store.ts";
import type { Command } from "./command.ts";
import { showResult } from "./output.ts";

/** `cairn version`. */
export const version: Command = {
  words: ["version"],
  summary: "show the versions of cairn and of the parts in it",
  options: [{ flags: "--json", help: "print JSON" }],
  async run(invocation) {
    const { version, commit, bun, tailscale, go } = buildInfo;
    // `level`: the highest fleet level that it reads (log/level.ts); an upgrade asks for it.
    const shown = { version, commit, level: KNOWN_LEVEL, bun, sqlite: Store.sqliteVersion(), tailscale, go };
    const rows = Object.entries(shown).map(([name, value]) => [name === "version" ? "cairn" : name, String(value)]);
    await showResult(invocation, shown, columns(rows));
    return 0;
  },
};
