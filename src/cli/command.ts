// What a command is to the command line: its words, arguments, options, and what it does. Parsing is program.ts's.

import type { Environment } from "../config/load.ts";

export interface Argument {
  /** `ID` must be there, `[ID]` may. */
  name: string;
  help: string;
}

export interface Option {
  /** As commander writes it: `--json`, `--limit N`. */
  flags: string;
  help: string;
  /** Each use adds a value. */
  repeated?: boolean;
}

/** What a command gets: parsed words, and the outside world. */
export interface Invocation {
  args: readonly (string | undefined)[];
  /** By option name in camelCase. */
  options: Readonly<Record<string, unknown>>;
  env: Environment;
}

export interface Command {
  /** `["context", "get"]`. */
  words: readonly [string] | readonly [string, string];
  /** Other last words. */
  aliases?: readonly string[];
  summary: string;
  /** Lines under the help, such as examples. */
  more?: string;
  args?: readonly Argument[];
  options?: readonly Option[];
  /** Also takes `--data`, `--url` and `--json`, which say which node is asked and how its answer is shown. */
  asksNode?: boolean;
  /** Answers the exit code; throws a Fault otherwise. */
  run(invocation: Invocation): Promise<number>;
}

/** The text of an option, or undefined. */
export function textOption(invocation: Invocation, name: string): string | undefined {
  const value = invocation.options[name];
  return typeof value === "string" ? value : undefined;
}
