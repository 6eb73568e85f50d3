// The completion script for fish.

import { shellQuoted } from "../../lib/shell-quoted.ts";
import { type CommandWords, type FlagWords, groupsOf } from "./command-words.ts";

/** Returns the script. */
export function fishCompletion(commands: readonly CommandWords[]): string {
  const groups = groupsOf(commands);
  const singles = commands.filter(({ words }) => words.length === 1);
  return [
    "# fish completion for cairn, made from its command table. Load it with: cairn completion fish | source",
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
    ].map(
      ({ name, summary }) => `complete -c cairn -n 'test -z "$(__cairn_words)"' -a ${name} -d ${shellQuoted(summary)}`,
    ),
    ...commands.flatMap(fishCommand),
    "",
  ].join("\n");
}

function fishCommand({ words, summary, flags, args }: CommandWords): string[] {
  const [first, second] = words;
  const when = shellQuoted(`__cairn_is ${words.join(" ")}`);
  return [
    ...(second === undefined
      ? []
      : [`complete -c cairn -n 'test "$(__cairn_words)" = ${first}' -a ${second} -d ${shellQuoted(summary)}`]),
    ...flags.map(({ name, help, value }) => {
      const takes = value === undefined ? "" : value === "files" ? " -r -F" : ` -x${fishOffer(value)}`;
      return `complete -c cairn -n ${when} -l ${name.slice(2)}${takes} -d ${shellQuoted(help)}`;
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
  return value === "ids" ? " -a '(__cairn_ids)'" : ` -a ${shellQuoted(value.join(" "))}`;
}
