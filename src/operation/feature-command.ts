// A command that people type for an operation of a feature: its words, and how its answer reads. cli/ runs it.

import type { Fault } from "../lib/fault.ts";

/** What completion offers for a value: fixed words, ids of the node's contexts, or files. */
export type Offers = readonly string[] | "ids" | "files";

/** A word behind the command's own. */
export interface Argument {
  /** `ID` must be there, `[ID]` may. */
  name: string;
  help: string;
  offers?: Offers;
}

/** A flag, with or without a value. */
export interface Option {
  /** As commander writes it: `--json`, `--limit N`. */
  flags: string;
  help: string;
  /** Each use adds a value. */
  repeated?: boolean;
  offers?: Offers;
}

/** Parsed words of a command line. */
export interface Words {
  args: readonly (string | undefined)[];
  /** By option name in camelCase. */
  options: Readonly<Record<string, unknown>>;
}

/** One command: `--data`, `--url` and `--json` are added to its options. */
export interface FeatureCommand {
  /** `["backup", "list"]`. */
  words: readonly [string] | readonly [string, string];
  summary: string;
  /** Lines under the help, such as examples. */
  more?: string;
  args?: readonly Argument[];
  options?: readonly Option[];
  /** The operation that is called. */
  operation: string;
  /** How long the answer may take, in ms; left out: the usual time. */
  answerMs?: number;
  input(words: Words): Record<string, unknown>;
  /** The answer for people, with its line ends; `--json` prints the JSON instead. */
  show(output: Readonly<Record<string, unknown>>): string;
  /** Says it better where the node does not know the operation, such as an edge. */
  unknown?(): Fault;
}
