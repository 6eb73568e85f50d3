// A CLI command for an operation of a feature: its words, and how its answer is shown. cli/ runs it.

import type { Fault } from "../lib/fault.ts";

/** What shell completion offers for a value: fixed words, ids of the node's contexts, or files. */
export type Offers = readonly string[] | "ids" | "files";

/** A positional argument. */
export interface Argument {
  /** `ID` is required, `[ID]` optional; the last one takes all further words as `WORD...`. */
  name: string;
  help: string;
  offers?: Offers;
}

/** A flag, with or without a value. */
export interface Option {
  /** In commander's notation: `--json`, `--limit <n>`. */
  flags: string;
  help: string;
  /** May be given several times; each use adds a value. */
  repeated?: boolean;
  offers?: Offers;
}

/** The parsed words of a command line. */
export interface Words {
  args: readonly (string | undefined)[];
  /** By option name in camelCase. */
  options: Readonly<Record<string, unknown>>;
}

/** One command. `--data`, `--url` and `--json` are added to its options. */
export interface FeatureCommand {
  /** `["backup", "list"]`. */
  words: readonly [string] | readonly [string, string];
  summary: string;
  /** Text below the help, such as examples. */
  more?: string;
  args?: readonly Argument[];
  options?: readonly Option[];
  /** Name of the operation to call. */
  operation: string;
  /** Time limit of the answer, in ms. Default: the usual one. */
  answerMs?: number;
  /** Returns the input of the operation. */
  input(words: Words): Record<string, unknown>;
  /** Returns the answer for people, with line ends; `--json` prints the JSON instead. */
  show(output: Readonly<Record<string, unknown>>): string;
  /** Returns the error where the node does not know the operation, such as an edge. */
  unknown?(): Fault;
}

/** Returns the text of an option as an argument, by default of the same name; {} where it was not given. */
export function optionText({ options }: Words, option: string, argument = option): Record<string, string> {
  const value = options[option];
  return typeof value === "string" ? { [argument]: value } : {};
}
