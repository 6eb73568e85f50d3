// cairn completion bash|zsh|fish: prints a script that completes commands, flags, values, and ids that it asks the node
// for. Kept by hand: no library completes files and asks for ids (DESIGN.md).

import { Fault } from "../../lib/fault.ts";
import type { Command } from "../command.ts";
import { writeData } from "../output.ts";
import { bashCompletion } from "./bash.ts";
import { completionWords } from "./command-words.ts";
import { fishCompletion } from "./fish.ts";
import { zshCompletion } from "./zsh.ts";

const SHELLS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;

/** Returns the command for a table, which is read when the command runs. */
export function completionCommand(commands: () => readonly Command[]): Command {
  return {
    words: ["completion"],
    summary: "print the completion script for your shell",
    more: `Examples:
  source <(cairn completion bash)                 in ~/.bashrc
  cairn completion zsh > ~/.zfunc/_cairn           with ~/.zfunc in fpath
  cairn completion fish > ~/.config/fish/completions/cairn.fish`,
    args: [{ name: "SHELL", help: "bash, zsh or fish", offers: Object.keys(SHELLS) }],
    async run(invocation) {
      const shell = invocation.args[0] ?? "";
      if (shell !== "bash" && shell !== "zsh" && shell !== "fish") {
        throw new Fault("invalid_input", `There is no completion for the shell ${JSON.stringify(shell)}`, {
          hint: "Use bash, zsh or fish.",
        });
      }
      await writeData(SHELLS[shell](completionWords(commands())));
      return 0;
    },
  };
}
