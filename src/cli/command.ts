// The type of a command: its words, arguments, options, and what it does. The command line is parsed in program.ts.

import type { Environment } from "../config/environment.ts";
import { wholeNumber } from "../lib/whole-number.ts";
import type { Argument, Option, Words } from "../operation/feature-command.ts";

export type { Argument, Offers, Option } from "../operation/feature-command.ts";

/** What a command is run with: parsed words, and the environment. */
export interface Invocation extends Words {
  env: Environment;
}

/** One row of the command table. */
export interface Command {
  /** `["context", "get"]`. */
  words: readonly [string] | readonly [string, string];
  /** Other names for the last word. */
  aliases?: readonly string[];
  summary: string;
  /** Text below the help, such as examples. */
  more?: string;
  /** The line to type, shown when the words were wrong; left out: a pointer to the help. */
  usage?: string;
  args?: readonly Argument[];
  options?: readonly Option[];
  /** Adds `--data`, `--url` and `--json`: which node is asked, and how its answer is shown. */
  asksNode?: boolean;
  /** The operation that it calls, by which errors name it; left out: its words, joined by _. */
  operation?: string;
  /** Its words are names of operations: errors are shown as the node wrote them. */
  takesOperation?: true;
  /** Returns the exit code, or throws a Fault. */
  run(invocation: Invocation): Promise<number>;
}

/** The options of every command that asks a node. */
export const NODE_OPTIONS: readonly Option[] = [
  { flags: "--data <dir>", help: "ask the node of this data folder" },
  { flags: "--url <url>", help: "ask the node at this address, such as http://cairn" },
  {
    flags: "--agent <name>",
    help: "act as this agent, or as the one whose handle is in the file of this path",
    fills: "as",
  },
  { flags: "--json", help: "print the node's JSON unchanged" },
];

/** Options of commands that read: how recent the answer must be. */
export const FRESHNESS: readonly Option[] = [
  { flags: "--min-position <position>", help: "the answer must include everything up to this position" },
  {
    flags: "--consistency <level>",
    help: "any, session or leader: which writes the answer must include",
    offers: ["any", "session", "leader"],
  },
];

/** Reports whether a flag without a value was given. */
export function isSet(invocation: Invocation, name: string): boolean {
  return invocation.options[name] === true;
}

/** Returns the value of an option, or undefined. */
export function textOption(invocation: Invocation, name: string): string | undefined {
  const value = invocation.options[name];
  return typeof value === "string" ? value : undefined;
}

/** Returns the values of an option that may be given several times. */
export function textsOption(invocation: Invocation, name: string): readonly string[] {
  const value = invocation.options[name];
  return Array.isArray(value) ? value.map(String) : typeof value === "string" ? [value] : [];
}

/**
 * Returns the whole number of an option, or undefined. Fault `invalid_input` for any other text, and for less than
 * `least`, names `flag`.
 */
export function countOption(invocation: Invocation, name: string, flag: string, least = 0): number | undefined {
  const text = textOption(invocation, name);
  return text === undefined ? undefined : wholeNumber(flag, text, least);
}

/** Returns `object` without its undefined members, as operations want their input. */
export function given(object: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
