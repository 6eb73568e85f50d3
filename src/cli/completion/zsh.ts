// The completion script for zsh.

import { shellQuoted } from "../../lib/shell-quoted.ts";
import { type CommandWords, type FlagWords, groupsOf } from "./command-words.ts";

/** Returns the script: a file `_cairn` in the fpath, or sourced after compinit. */
export function zshCompletion(commands: readonly CommandWords[]): string {
  const groups = groupsOf(commands);
  const tops = groups.map((group) => ({ name: group, help: `${group} commands` }));
  const singles = commands
    .filter(({ words }) => words.length === 1)
    .map(({ words, summary }) => ({ name: words[0] ?? "", help: summary }));
  return `#compdef cairn
# zsh completion for cairn, made from its command table. Load it with: source <(cairn completion zsh)
_cairn_ids() {
  local -a node ids
  local at
  for ((at = 2; at < \${#words}; at++)); do
    [[ \${words[at]} == (--data|--url) ]] && node+=("\${words[at]}" "\${words[at + 1]}")
  done
  ids=("\${(@f)$("\${words[1]}" context list "$PREFIX" --ids --limit 200 "\${node[@]}" 2>/dev/null)}")
  compadd -S '' -a ids
}

_cairn() {
  local command=\${words[2]}
  if ((CURRENT == 2)); then
    local -a names=(
${[...singles, ...tops].map(described).join("\n")}
    )
    _describe command names
    return
  fi
  case $command in
${groups.map((group) => zshGroup(group, commands)).join("\n")}
  esac
  case $command in
${commands.map(zshCommand).join("\n")}
  esac
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _cairn "$@"; else compdef _cairn cairn; fi
`;
}

function described({ name, help }: { name: string; help: string }): string {
  return `      ${shellQuoted(`${name}:${help.replaceAll(":", "\\:")}`)}`;
}

function zshGroup(group: string, commands: readonly CommandWords[]): string {
  const inside = commands.filter(({ words }) => words[0] === group && words.length > 1);
  return `    ${group})
      if ((CURRENT == 3)); then
        local -a names=(
${inside.map(({ words, summary }) => `  ${described({ name: words[1] ?? "", help: summary })}`).join("\n")}
        )
        _describe command names
        return
      fi
      command="$command \${words[3]}"
      ;;`;
}

/** Returns the case of one command: `_arguments` gets the words after the command's own. */
function zshCommand({ words, flags, args }: CommandWords): string {
  const flagSpecs = flags.map(({ name, help, value }) =>
    shellQuoted(
      `${name}[${help.replaceAll(/[[\]:]/g, " ")}]${value === undefined ? "" : `:value:${zshAction(value)}`}`,
    ),
  );
  const argSpecs = args.map((offers, index) => shellQuoted(`${index + 1}:argument:${zshAction(offers ?? "any")}`));
  const rest = `words=("\${words[1]}" "\${(@)words[${words.length + 2},-1]}"); ((CURRENT -= ${words.length}))`;
  return `    ${shellQuoted(words.join(" "))}) ${rest}; _arguments ${[...flagSpecs, ...argSpecs].join(" ")} ;;`;
}

function zshAction(value: NonNullable<FlagWords["value"]>): string {
  if (value === "any") return " ";
  if (value === "files") return "_files";
  return value === "ids" ? "_cairn_ids" : `(${value.join(" ")})`;
}
