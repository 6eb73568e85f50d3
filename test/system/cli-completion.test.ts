// Completion as the shells do it: the script is loaded, a line is completed, and ids are the ones that the node has
// now.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { spawnNode, type TestNode } from "../kit/node.ts";

let node: TestNode;
/** A folder with an executable `cairn`, first in the PATH. */
let bin: string;

beforeAll(async () => {
  node = await spawnNode({ args: ["--conformance"] });
  await node.ready();
  for (const id of ["vault/What now $(touch ran)", "vault/`touch ran` & co"])
    await node.cli(["context", "put", id], "x");
  for (const id of ["team-a/plan", "team-a/state", "team-b/x", "odd:id/a"]) await node.cli(["context", "put", id], "x");
  bin = join(node.home, "bin");
  mkdirSync(bin);
  writeFileSync(join(bin, "cairn"), `#!/bin/sh\nexec ${node.command.join(" ")} "$@"\n`, { mode: 0o755 });
  for (const shell of ["bash", "zsh", "fish"]) writeFileSync(join(node.home, shell), script(shell));
}, 60_000);
afterAll(() => node[Symbol.asyncDispose]());

const environment = () => ({ ...node.env, PATH: `${bin}:${node.env["PATH"]}`, CAIRN_DATA: node.dataDir, TERM: "dumb" });

function script(shell: string): string {
  const made = Bun.spawnSync({ cmd: [...node.command, "completion", shell], env: node.env });
  expect(made.exitCode).toBe(0);
  return made.stdout.toString();
}

/** What bash offers for a line whose cursor is at its end. */
function bash(line: string): string[] {
  const program = `
    source ${join(node.home, "bash")}
    COMP_LINE=$1; COMP_POINT=\${#COMP_LINE}; COMP_WORDS=(cairn); COMP_CWORD=1
    _cairn
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = Bun.spawnSync({ cmd: ["bash", "-c", program, "bash", line], env: environment() });
  expect(stderr.toString()).toBe("");
  return stdout.toString().trim().split("\n");
}

describe("bash", () => {
  test.each([
    ["a command", "cairn stat", ["status"]],
    ["a group's word", "cairn context hi", ["history"]],
    ["an alias", "cairn context l", ["list", "ls", "log"]],
    ["a flag", "cairn context put team-a/plan --if", ["--if-match"]],
    ["a setting of serve", "cairn serve --log-l", ["--log-level"]],
    ["a setting's value", "cairn serve --log-level w", ["warning"]],
    ["a fixed argument", "cairn completion z", ["zsh"]],
    ["a client", "cairn setup cl", ["claude-code", "claude-desktop"]],
    ["a verb as the second argument", "cairn access explain ann@example.com op", ["operate"]],
    ["an id of the node", "cairn context get team-a/", ["team-a/plan", "team-a/state"]],
    ["an id behind a flag with a value", "cairn context get --version 1 team-b", ["team-b/x"]],
    ["an id as a flag's value", "cairn context watch --id team-a/p", ["team-a/plan"]],
    ["an id with a colon, at which bash cuts", "cairn context get odd:i", ["id/a"]],
  ])("%s", (_name, line, offers) => {
    expect(bash(line).sort()).toEqual(offers.sort());
  });

  test("every command of the table is offered", () => {
    const offered = bash("cairn ");
    for (const word of ["serve", "context", "access", "config", "service", "doctor", "version"])
      expect(offered).toContain(word);
  });

  test("an id with signs of the shell is quoted, and nothing in it runs", () => {
    const offers = bash("cairn context get vault/");
    expect(offers).toHaveLength(2);
    const words = Bun.spawnSync({ cmd: ["bash", "-c", `printf '%s\\n' ${offers.join(" ")}`], cwd: node.home });
    expect(words.stdout.toString()).toBe("vault/What now $(touch ran)\nvault/`touch ran` & co\n");
    expect([existsSync(join(node.home, "ran")), existsSync("ran")]).toEqual([false, false]);
  });

  test("files where a file is meant", () => {
    writeFileSync(join(node.home, "input.json"), "{}");
    expect(bash(`cairn context put team-a/plan ${node.home}/input`)).toEqual([`${node.home}/input.json`]);
  });

  test("really, by the key: readline asks the function", () => {
    const program = `bind 'set show-all-if-ambiguous on' 2>/dev/null; source ${join(node.home, "bash")}; complete -p cairn`;
    const { stdout } = Bun.spawnSync({ cmd: ["bash", "-ic", program], env: environment() });
    expect(stdout.toString()).toContain("complete -F _cairn cairn");
  });
});

describe("fish", () => {
  const fish = (line: string): string[] => {
    const program = `source ${join(node.home, "fish")}; complete -C '${line}'`;
    const { stdout, stderr } = Bun.spawnSync({ cmd: ["fish", "--no-config", "-c", program], env: environment() });
    expect(stderr.toString()).toBe("");
    return stdout
      .toString()
      .trim()
      .split("\n")
      .map((offer) => offer.split("\t")[0] ?? "")
      .sort();
  };

  test.skipIf(Bun.which("fish") === null).each([
    ["a command", "cairn stat", ["status"]],
    ["a group's word", "cairn context hi", ["history"]],
    ["a flag", "cairn context put team-a/plan --if", ["--if-match"]],
    ["a setting's value", "cairn serve --log-level w", ["warning"]],
    ["an id of the node", "cairn context get team-a/", ["team-a/plan", "team-a/state"]],
  ])("%s [needs fish]", (_name, line, offers) => {
    expect(fish(line)).toEqual(offers);
  });
});

describe("zsh", () => {
  /**
   * Completion runs in the line editor alone, so a zsh of its own gets a terminal, a Tab, and a key that shows the
   * line.
   */
  const zsh = (line: string): string => {
    const setup = `autoload -U compinit; compinit -u -D; source ${join(node.home, "zsh")}; show() { zle -I; print -r -- "<<$BUFFER>>"; }; zle -N show; bindkey "^X" show; bindkey "^I" complete-word; echo REA""DY`;
    const program = `
      zmodload zsh/zpty
      zpty shell 'PS1= zsh -f -i'
      zpty -w shell ${quoted(setup)}
      while zpty -r shell said && [[ $said != *READY* ]]; do :; done
      zpty -w -n shell ${quoted(line)}$'\\t\\x18'
      while zpty -r shell said; do
        if [[ $said == *'<<'*'>>'* ]]; then print -rn -- "$said"; break; fi
      done
      zpty -d shell`;
    const { stdout } = Bun.spawnSync({ cmd: ["zsh", "-f", "-c", program], env: environment(), timeout: 20_000 });
    return /<<(.*?)>>/.exec(stdout.toString())?.[1]?.trimEnd() ?? stdout.toString();
  };
  const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

  test.skipIf(Bun.which("zsh") === null).each([
    ["a command", "cairn stat", "us"],
    ["a group's word", "cairn context his", "tory"],
    ["a setting's value", "cairn serve --log-level w", "arning"],
    ["an id of the node", "cairn context get team-b/", "x"],
  ])(
    "%s [needs zsh]",
    (_name, line, rest) => {
      expect(zsh(line)).toBe(`${line}${rest}`);
    },
    30_000,
  );
});
