// The completion scripts for zsh and fish, made from the same words as bash's.

import { type CommandWords, type FlagWords, groupsOf } from "./words.ts";

/** The script for zsh; a file `_cairn` of the fpath, or sourced after compinit. */
export function zshCompletion(commands: readonly CommandWords[]): string {
  const groups = groupsOf(commands);
  const tops = groups.map((group) => ({ name: group, help: `${group} commands` }));
  const singles = commands
    .filter(({ words }) => words.length === 1)
    .map(({ words, summary }) => ({ name: words[0] ?? "", help: summary }));
  return `#compdef cairn
# zsh completion for cairn; made from its command table. Load it with: source <(cairn completion zsh)
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
  return `      ${quoted(`${name}:${help.replaceAll(":", "\\:")}`)}`;
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

/** `_arguments` sees the words behind the command's own. */
function zshCommand({ words, flags, args }: CommandWords): string {
  const flagSpecs = flags.map(({ name, help, value }) =>
    quoted(`${name}[${help.replaceAll(/[[\]:]/g, " ")}]${value === undefined ? "" : `:value:${zshAction(value)}`}`),
  );
  const argSpecs = args.map((offers, index) => quoted(`${index + 1}:argument:${zshAction(offers ?? "any")}`));
  const rest = `words=("\${words[1]}" "\${(@)words[${words.length + 2},-1]}"); ((CURRENT -= ${words.length}))`;
  return `    ${quoted(words.join(" "))}) ${rest}; _arguments ${[...flagSpecs, ...argSpecs].join(" ")} ;;`;
}

function zshAction(value: NonNullable<FlagWords["value"]>): string {
  if (value === "any") return " ";
  if (value === "files") return "_files";
  return value === "ids" ? "_cairn_ids" : `(${value.join(" ")})`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The script for fish. */
export function fishCompletion(commands: readonly CommandWords[]): string {
  const groups = groupsOf(commands);
  const singles = commands.filter(({ words }) => words.length === 1);
  return [
    "# fish completion for cairn; made from its command table. Load it with: cairn completion fish | source",
    "function __cairn_words",
    "  set -l words (commandline -opc)",
    "  string match -v -- '-*' $words[2..-1]",
    "end",
    "function __cairn_is",
    "  set -l words (__cairn_words)",
    "  set -l count (count $argv)",
    '  test "$words[1..$count]" = "$argv"',
    "end",
    "function __cairn_ids",
    "  set -l words (commandline -opc)",
    "  set -l node",
    "  for at in (seq 2 (math (count $words) - 1))",
    "    contains -- $words[$at] --data --url; and set -a node $words[$at] $words[(math $at + 1)]",
    "  end",
    "  $words[1] context list (commandline -ct) --ids --limit 200 $node 2>/dev/null",
    "end",
    "complete -c cairn -f",
    ...[
      ...groups.map((name) => ({ name, summary: `${name} commands` })),
      ...singles.map(({ words, summary }) => ({ name: words[0] ?? "", summary })),
    ].map(({ name, summary }) => `complete -c cairn -n 'test -z "$(__cairn_words)"' -a ${name} -d ${quoted(summary)}`),
    ...commands.flatMap(fishCommand),
    "",
  ].join("\n");
}

function fishCommand({ words, summary, flags, args }: CommandWords): string[] {
  const [first, second] = words;
  const when = quoted(`__cairn_is ${words.join(" ")}`);
  return [
    ...(second === undefined
      ? []
      : [`complete -c cairn -n 'test "$(__cairn_words)" = ${first}' -a ${second} -d ${quoted(summary)}`]),
    ...flags.map(({ name, help, value }) => {
      const takes = value === undefined ? "" : value === "files" ? " -r -F" : ` -x${fishOffer(value)}`;
      return `complete -c cairn -n ${when} -l ${name.slice(2)}${takes} -d ${quoted(help)}`;
    }),
    ...args.flatMap((offers) =>
      offers === undefined
        ? []
        : [offers === "files" ? `complete -c cairn -n ${when} -F` : `complete -c cairn -n ${when}${fishOffer(offers)}`],
    ),
  ];
}

function fishOffer(value: NonNullable<FlagWords["value"]>): string {
  if (value === "any" || value === "files") return "";
  return value === "ids" ? " -a '(__cairn_ids)'" : ` -a ${quoted(value.join(" "))}`;
}
