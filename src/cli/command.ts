// What a command is to the command line: its words, arguments, options, and what it does. Parsing is program.ts's.

import type { Environment } from "../config/environment.ts";
import { Fault } from "../lib/fault.ts";
import type { Argument, Option, Words } from "../operation/feature-command.ts";

export type { Argument, Offers, Option } from "../operation/feature-command.ts";

/** What a command gets: parsed words, and the outside world. */
export interface Invocation extends Words {
  env: Environment;
}

/** One row of the table. */
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

/** What every command that asks a node takes. */
export const NODE_OPTIONS: readonly Option[] = [
  { flags: "--data <dir>", help: "ask the node of this data folder" },
  { flags: "--url <url>", help: "ask the node at this address, such as http://cairn" },
  { flags: "--json", help: "print the node's JSON as it is" },
];

/** Arguments of reads that say how new the answer must be (architecture.md 5); `askNode` passes them on. */
export const FRESHNESS: readonly Option[] = [
  { flags: "--min-position <position>", help: "answer from at least this position" },
  {
    flags: "--consistency <level>",
    help: "any, session or leader: what the answer must have seen",
    offers: ["any", "session", "leader"],
  },
];

/** The text of an option, or undefined. */
export function textOption(invocation: Invocation, name: string): string | undefined {
  const value = invocation.options[name];
  return typeof value === "string" ? value : undefined;
}

/** The texts of an option that may be given several times. */
export function textsOption(invocation: Invocation, name: string): readonly string[] {
  const value = invocation.options[name];
  return Array.isArray(value) ? value.map(String) : typeof value === "string" ? [value] : [];
}

/** The whole number of an option, or undefined; Fault `invalid_input` for anything else. `flag` is its name for people. */
export function countOption(invocation: Invocation, name: string, flag: string): number | undefined {
  const text = textOption(invocation, name);
  return text === undefined ? undefined : wholeNumber(flag, text);
}

/** Reads a whole number that a person wrote; Fault `invalid_input` names `place`. */
export function wholeNumber(place: string, text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new Fault("invalid_input", `${place} should be a whole number, and is ${JSON.stringify(text)}`, {
    hint: `Give it as ${place} 3.`,
  });
}

/** `object` without its undefined members, as operations want their input. */
export function given(object: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
