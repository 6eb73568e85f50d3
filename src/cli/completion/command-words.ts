// What completion offers, from the command table: the words, flags and values that the command line takes. The scripts
// of the shells are made from it.

import { flagOf } from "../../config/setting.ts";
import { SETTING_ROWS } from "../../features/index.ts";
import { type Command, NODE_OPTIONS, type Offers, type Option } from "../command.ts";

/** A flag, its help, and what is offered for its value; undefined for a flag without a value. */
export interface FlagWords {
  name: string;
  help: string;
  value: Offers | "any" | undefined;
}

/** One command under one of its names. */
export interface CommandWords {
  /** `["context", "get"]`; an alias is an entry of its own. */
  words: readonly string[];
  summary: string;
  flags: readonly FlagWords[];
  /** What is offered for each argument, in order. */
  args: readonly (Offers | undefined)[];
}

/** Returns the entries of all commands and their aliases. */
export function completionWords(commands: readonly Command[]): CommandWords[] {
  return commands.flatMap((command) => {
    const [first, second] = command.words;
    const names = [second ?? first, ...(command.aliases ?? [])];
    const options = [...(command.options ?? []), ...(command.asksNode === true ? NODE_OPTIONS : [])];
    return names.map((name) => ({
      words: second === undefined ? [name] : [first, name],
      summary: command.summary,
      flags: [...options.map(flagWords), { name: "--help", help: "show help", value: undefined }],
      args: (command.args ?? []).map((argument) => argument.offers),
    }));
  });
}

/** Returns the words that are followed by a second word, such as `context`. */
export function groupsOf(commands: readonly CommandWords[]): string[] {
  return [...new Set(commands.filter(({ words }) => words.length > 1).map(({ words }) => words[0] ?? ""))];
}

function flagWords(option: Option): FlagWords {
  const [name = "", placeholder] = option.flags.split(/\s+/, 2);
  const value = placeholder === undefined ? undefined : (option.offers ?? choicesOf(name) ?? filesOrAny(placeholder));
  return { name, help: option.help, value };
}

/** Returns the values of a setting's flag, where they are fixed. */
function choicesOf(flag: string): readonly string[] | undefined {
  return SETTING_ROWS.find(([key, row]) => row.choices !== undefined && flagOf(key) === flag)?.[1].choices;
}

function filesOrAny(placeholder: string): "files" | "any" {
  return /^<(dir|file|DIR|FILE)>$/.test(placeholder) ? "files" : "any";
}
