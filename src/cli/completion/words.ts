// What completion can offer, read off the command table: the same words, flags and values that the command line takes. The shells' scripts are made of it.

import { flagOf } from "../../config/setting.ts";
import { SETTING_ROWS } from "../../features/index.ts";
import { type Command, NODE_OPTIONS, type Offers, type Option } from "../command.ts";

/** One flag with its other spelling's help and what its value may be; undefined: it takes none. */
export interface FlagWords {
  name: string;
  help: string;
  value: Offers | "any" | undefined;
}

/** One command under every name it has. */
export interface CommandWords {
  /** `["context", "get"]`; an alias is one of its own. */
  words: readonly string[];
  summary: string;
  flags: readonly FlagWords[];
  /** What its arguments offer, in order; the last one goes on. */
  args: readonly (Offers | undefined)[];
}

/** All commands of the table, aliases included. */
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

/** `context` and its like, which want a second word. */
export function groupsOf(commands: readonly CommandWords[]): string[] {
  return [...new Set(commands.filter(({ words }) => words.length > 1).map(({ words }) => words[0] ?? ""))];
}

function flagWords(option: Option): FlagWords {
  const [name = "", placeholder] = option.flags.split(/\s+/, 2);
  const value = placeholder === undefined ? undefined : (option.offers ?? choicesOf(name) ?? folderOr(placeholder));
  return { name, help: option.help, value };
}

/** Values of a setting's flag. */
function choicesOf(flag: string): readonly string[] | undefined {
  return SETTING_ROWS.find(([key, row]) => row.choices !== undefined && flagOf(key) === flag)?.[1].choices;
}

function folderOr(placeholder: string): "files" | "any" {
  return /^<(dir|file|DIR|FILE)>$/.test(placeholder) ? "files" : "any";
}
