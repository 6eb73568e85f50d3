// A CLI command for an operation of a feature: its words, and how its answer is shown. cli/ runs it.

import type { Fault } from "../lib/fault.ts";
import { wholeNumber } from "../lib/whole-number.ts";

/** What shell completion offers for a value: fixed words, ids of the node's contexts, or files. */
export type Offers = readonly string[] | "ids" | "files";

/** A positional argument. */
export interface Argument {
  /** `ID` is required, `[ID]` optional; the last one takes all further words as `WORD...`. */
  name: string;
  help: string;
  offers?: Offers;
  /** The argument of the operation that it fills; left out: its name in small letters. */
  fills?: string;
}

/** A flag, with or without a value. */
export interface Option {
  /** In commander's notation: `--json`, `--limit <n>`. */
  flags: string;
  help: string;
  /** May be given several times; each use adds a value. */
  repeated?: boolean;
  offers?: Offers;
  /** The argument of the operation that it fills; left out: its own name, with _ for -. */
  fills?: string;
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
  /** Returns the answer to these words for people, with line ends; `--json` prints the JSON instead. */
  show(output: Readonly<Record<string, unknown>>, words: Words): string;
  /** Returns the names that it is addressed to: those by which no one is known are remarked on, once it is done. */
  addressed?(words: Words): readonly string[];
  /** Reports whether the answer is a no, which makes the exit code 3. Default: never. */
  isNo?(output: Readonly<Record<string, unknown>>): boolean;
  /** Returns the error that an answer is, such as that nothing was there to remove. Default: none is. */
  failure?(output: Readonly<Record<string, unknown>>, words: Words): Fault | undefined;
  /** Returns the error where the node does not know the operation, such as an edge. */
  unknown?(): Fault;
}

/** Returns the text of an option as an argument, by default of the same name; {} where it was not given. */
export function optionText({ options }: Words, option: string, argument = option): Record<string, string> {
  const value = options[option];
  return typeof value === "string" ? { [argument]: value } : {};
}

/**
 * Returns the whole number of an option as an argument, by default of the same name; {} where it was not given. Fault
 * `invalid_input` for any other text.
 */
export function optionNumber({ options }: Words, option: string, argument = option): Record<string, number> {
  const value = options[option];
  return typeof value === "string" ? { [argument]: wholeNumber(`--${option}`, value) } : {};
}

/** Returns the values of an option that may be given several times. */
export function optionTexts({ options }: Words, option: string): readonly string[] {
  const values = options[option];
  return Array.isArray(values) ? values.map(String) : [];
}
