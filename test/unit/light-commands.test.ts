// Commands that are loaded alone are those of the whole table, and do not load the program that a node runs.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Command } from "../../src/cli/command.ts";
import { LIGHT_WORDS, lightCommands } from "../../src/cli/light-commands.ts";
import { COMMANDS } from "../../src/cli/table.ts";

const CLI = join(import.meta.dir, "..", "..", "src", "cli");
/** What the command line and its help are made of. */
const shown = (commands: readonly Command[] | undefined) => JSON.parse(JSON.stringify(commands ?? null));

describe("commands that are loaded alone", () => {
  test.each(LIGHT_WORDS)("cairn %s: the same rows as in the table", async (word) => {
    const rows = COMMANDS.filter(({ words }) => words[0] === word);
    expect(rows.length).toBeGreaterThan(0);
    expect(shown(await lightCommands(word))).toEqual(shown(rows));
  });

  test("another word is looked for in the table", async () => {
    expect(await lightCommands("serve")).toBeUndefined();
    expect(await lightCommands("")).toBeUndefined();
  });

  test.each(LIGHT_WORDS)("cairn %s: neither the features nor the node are loaded", (word) => {
    const script = `await import(${JSON.stringify(join(CLI, "program.ts"))});
      await (await import(${JSON.stringify(join(CLI, "light-commands.ts"))})).lightCommands(${JSON.stringify(word)});
      const heavy = Object.keys(require.cache).filter((path) => /src\\/(features|node|fleet)\\/index[.]ts$/.test(path));
      console.log(JSON.stringify(heavy));`;
    const { stdout, stderr } = Bun.spawnSync({ cmd: [process.execPath, "-e", script] });
    expect([stderr.toString(), stdout.toString().trim()]).toEqual(["", "[]"]);
  });
});
