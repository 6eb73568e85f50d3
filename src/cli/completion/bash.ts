// The completion script for bash. Bash splits words at colons, and ids may hold them: the part that bash has cut off is
// removed from the offers.

import { type CommandWords, type FlagWords, groupsOf } from "./command-words.ts";

/** Returns the script, which defines `_cairn` and registers it. */
export function bashCompletion(commands: readonly CommandWords[]): string {
  return `# bash completion for cairn, made from its command table. Load it with: source <(cairn completion bash)
${OFFER_FUNCTION}
${completeFunction(commands)}
${valuedFunction(commands)}
complete -F _cairn cairn
`;
}

/** Sets the offers of one kind: `words`, `files` or `ids`. */
const OFFER_FUNCTION = `_cairn_offer() {
  local kind=$1
  shift
  case $kind in
    words) COMPREPLY=($(compgen -W "$*" -- "$cur")) ;;
    files) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")) ;;
    ids)
      # Ids are data of others: compgen -W would run what is in them. The line gets them quoted.
      local id
      while IFS= read -r id; do
        [[ -n $id ]] && COMPREPLY+=("$(printf '%q' "$id")")
      done < <("\${COMP_WORDS[0]}" context list "$cur" --ids --limit 200 "\${node[@]}" 2>/dev/null)
      compopt -o nospace 2>/dev/null
      ;;
  esac
  if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
    local cut=\${cur%"\${cur##*:}"} at=\${#COMPREPLY[@]}
    while ((at-- > 0)); do COMPREPLY[at]=\${COMPREPLY[at]#"$cut"}; done
  fi
}
`;

/** Finds the command and the position of the word to complete, and sets its offers. */
function completeFunction(commands: readonly CommandWords[]): string {
  const groups = groupsOf(commands);
  const tops = [...new Set(commands.map(({ words }) => words[0] ?? ""))];
  return `_cairn() {
  local cur=\${COMP_LINE:0:COMP_POINT} prev command position=0 at word node=()
  local -a line
  read -ra line <<< "$cur"
  [[ $cur == *[[:space:]] ]] && line+=("")
  cur=\${line[-1]}
  prev=\${line[-2]:-}
  command=\${line[1]:-}
  COMPREPLY=()
  if ((\${#line[@]} <= 2)); then
    _cairn_offer words ${tops.join(" ")} --help
    return
  fi
  case $command in
    ${groups.join(" | ")})
      if ((\${#line[@]} == 3)); then
        case $command in
${lines(groups.map((group) => `          ${group}) ${offer([...secondWords(commands, group), "--help"])} ;;`))}
        esac
        return
      fi
      command="$command \${line[2]}"
      at=3
      ;;
    *) at=2 ;;
  esac
  for ((; at < \${#line[@]} - 1; at++)); do
    word=\${line[at]}
    case $word in
      --data | --url) node+=("$word" "\${line[at + 1]}"); ((at++)) ;;
      --*) ;;
      *) [[ \${line[at - 1]} == --* && " $(_cairn_valued "$command") " == *" \${line[at - 1]} "* ]] || ((position++)) ;;
    esac
  done
  case "$command $prev" in
${lines(commands.flatMap(valueCases))}
  esac
  case $cur in
    -*)
      case $command in
${lines(commands.map(flagCase))}
      esac
      return
      ;;
  esac
  case "$command $position" in
${lines(commands.flatMap(argumentCases))}
  esac
}
`;
}

/** Prints the flags of a command that take a value. */
function valuedFunction(commands: readonly CommandWords[]): string {
  const cases = commands.map(({ words, flags }) => {
    const valued = flags.filter(({ value }) => value !== undefined).map(({ name }) => name);
    return `    "${words.join(" ")}") echo "${valued.join(" ")}" ;;`;
  });
  return `_cairn_valued() {
  case $1 in
${lines(cases)}
  esac
}
`;
}

function lines(parts: readonly string[]): string {
  return parts.join("\n");
}

function flagCase({ words, flags }: CommandWords): string {
  return `        "${words.join(" ")}") ${offer(flags.map(({ name }) => name))} ;;`;
}

function secondWords(commands: readonly CommandWords[], group: string): string[] {
  return commands.filter(({ words }) => words[0] === group && words.length > 1).map(({ words }) => words[1] ?? "");
}

function valueCases({ words, flags }: CommandWords): string[] {
  return flags
    .filter((flag): flag is FlagWords & { value: NonNullable<FlagWords["value"]> } => flag.value !== undefined)
    .map(({ name, value }) => `    "${words.join(" ")} ${name}") ${offer(value)}; return ;;`);
}

function argumentCases({ words, args }: CommandWords): string[] {
  return args.flatMap((offers, index) =>
    offers === undefined ? [] : [`    "${words.join(" ")} ${index}") ${offer(offers)} ;;`],
  );
}

function offer(value: NonNullable<FlagWords["value"]>): string {
  if (value === "any") return ":";
  return typeof value === "string" ? `_cairn_offer ${value}` : `_cairn_offer words ${value.join(" ")}`;
}
