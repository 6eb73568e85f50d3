// The command table against what is made of it: completion, pages, and the options that commands read.

import { describe, expect, test } from "bun:test";
import { bashCompletion } from "../../src/cli/completion/bash.ts";
import { completionWords } from "../../src/cli/completion/command-words.ts";
import { fishCompletion } from "../../src/cli/completion/fish.ts";
import { zshCompletion } from "../../src/cli/completion/zsh.ts";
import { COMMANDS } from "../../src/cli/table.ts";
import { exampleFile } from "../../src/config/example.ts";
import { flagOf } from "../../src/config/setting.ts";
import { SETTING_ROWS } from "../../src/features/index.ts";
import { columns } from "../../src/lib/columns.ts";

const words = completionWords(COMMANDS);

test("no two commands have one name, aliases included", () => {
  const names = words.map((command) => command.words.join(" "));
  expect(new Set(names).size).toBe(names.length);
});

test("every command says what it does and describes every flag and argument", () => {
  for (const { summary, args = [], options = [] } of COMMANDS) {
    expect(summary).toMatch(/^[a-z].*[^.]$/);
    for (const { help } of [...args, ...options]) expect(help.length).toBeGreaterThan(2);
  }
});

test("every setting is a flag of serve, in its help, in completion and in the example file", () => {
  const serve = words.find((command) => command.words[0] === "serve");
  const flags = serve?.flags.map(({ name }) => name);
  for (const [key, row] of SETTING_ROWS) {
    expect(flags).toContain(flagOf(key));
    expect(exampleFile(SETTING_ROWS)).toContain(row.help);
    if (row.choices !== undefined)
      expect(serve?.flags.find(({ name }) => name === flagOf(key))?.value).toEqual(row.choices);
  }
});

describe("completion scripts", () => {
  test.each([
    ["bash", bashCompletion],
    ["zsh", zshCompletion],
    ["fish", fishCompletion],
  ] as const)("%s offers every command and flag", (_shell, make) => {
    const script = make(words);
    for (const { words: names, flags } of words) {
      expect(script).toContain(names.at(-1) ?? "");
      for (const { name } of flags) expect(script).toContain(name.slice(2));
    }
  });

  test("no help text can break out of its quotes", () => {
    const hostile = completionWords([
      ...COMMANDS,
      {
        words: ["x"],
        summary: "it's `id` $(id) [a]:b",
        options: [{ flags: "--y", help: "'; id #" }],
        run: async () => 0,
      },
    ]);
    for (const [shell, make] of [
      ["zsh", zshCompletion],
      ["fish", fishCompletion],
      ["bash", bashCompletion],
    ] as const) {
      if (Bun.which(shell) === null) continue;
      const check = Bun.spawnSync({ cmd: [shell, "-n", "/dev/stdin"], stdin: Buffer.from(make(hostile)) });
      expect(`${shell} ${check.stderr}`).toBe(`${shell} `);
    }
  });
});

test("columns are aligned by the width that a terminal gives to characters", () => {
  const rows = [
    ["日本", "wide"],
    ["cafe\u0301", "a combining mark"],
    ["plain", "five"],
  ];
  expect(columns(rows)).toBe("日本   wide\ncafe\u0301   a combining mark\nplain  five\n");
});
