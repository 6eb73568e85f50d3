// cairn completion bash|zsh|fish: the script that completes commands, flags, values, and the ids of contexts as they are now.

import { Fault } from "../../lib/fault.ts";
import type { Command } from "../command.ts";
import { writeData } from "../output.ts";
import { bashCompletion } from "./bash.ts";
import { completionWords } from "./words.ts";
import { fishCompletion, zshCompletion } from "./zsh-fish.ts";

const SHELLS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;

/** The command over the table it belongs to, which it reads when it runs. */
export function completionCommand(commands: () => readonly Command[]): Command {
  return {
    words: ["completion"],
    summary: "print the completion script for your shell",
    more: "Examples:\n  source <(cairn completion bash)                 in ~/.bashrc\n  cairn completion zsh > ~/.zfunc/_cairn           with ~/.zfunc in fpath\n  cairn completion fish > ~/.config/fish/completions/cairn.fish",
    args: [{ name: "SHELL", help: "bash, zsh or fish", offers: Object.keys(SHELLS) }],
    async run(invocation) {
      const shell = invocation.args[0] ?? "";
      if (shell !== "bash" && shell !== "zsh" && shell !== "fish") {
        throw new Fault("invalid_input", `There is no completion for ${JSON.stringify(shell)}`, {
          hint: "Use bash, zsh or fish.",
        });
      }
      await writeData(SHELLS[shell](completionWords(commands())));
      return 0;
    },
  };
}
