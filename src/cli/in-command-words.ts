// Says the failure of an operation in the words that were typed: a node writes its errors for every surface, with the
// names of operations and arguments; here they become commands and options. What maps to what is in the command table.

import { OPERATIONS } from "../features/index.ts";
import { faultBody } from "../lib/failed-result.ts";
import { Fault } from "../lib/fault.ts";
import { parseObject } from "../lib/json-object.ts";
import { type Command, NODE_OPTIONS, type Option } from "./command.ts";

/** Texts in quotes are values, and stay as they are. */
const QUOTED = /("(?:[^"\\]|\\.)*")/;
/** A name of an operation or argument, not one within an id, setting or path, and the word before that calls it. */
const NAME = /(cairn call |\b[Cc]all )?(?<![\w./-])([a-z]+(?:_[a-z]+)+)(?![\w/-]|\.\w)/g;
const RUN: Readonly<Record<string, string>> = { "call ": "run ", "Call ": "Run " };
const OPERATION_NAMES: ReadonlySet<string> = new Set(OPERATIONS.map(({ name }) => name));

/** Returns what a command threw, in the words of its command line; `commands` are those of the build. */
export function inCommandWords(error: unknown, command: Command, commands: readonly Command[]): unknown {
  if (!(error instanceof Fault) || command.takesOperation === true) return error;
  const hint = error.hint === undefined ? undefined : hintFor(error.hint, command, commands);
  return error.retold(messageFor(error, command, commands), { hint });
}

/** Returns the operation that a command calls, by which other texts name it. */
function operationOf({ operation, words }: Command): string {
  return operation ?? words.join("_");
}

/** `message_post: parent: must be …` becomes `--reply: must be …`. */
function messageFor(fault: Fault, command: Command, commands: readonly Command[]): string {
  const { message, field } = faultBody(fault);
  const [, operation = "", rest = ""] = /^([a-z_]+): (.+)$/s.exec(message) ?? [];
  if (!OPERATION_NAMES.has(operation)) return inWords(message, command, commands);
  const place = typeof field === "string" ? field : "";
  const typed = place === "" ? undefined : wordFor(place.split(".")[0] ?? "", [command]);
  if (typed === undefined || !rest.startsWith(place)) return inWords(rest, command, commands);
  return `${typed}${inWords(rest.slice(place.length), command, commands)}`;
}

/** An example in JSON becomes the option with its value, or the way to the help of the command. */
function hintFor(hint: string, command: Command, commands: readonly Command[]): string {
  const [, json = "", argument, rest = ""] =
    /^For example: (\{.*?\})\.(?= [a-z_]+ takes|$)(?: ([a-z_]+)( takes .*))?$/s.exec(hint) ?? [];
  const example = parseObject(json);
  if (example === undefined) return inWords(hint, command, commands);
  const typed = argument === undefined ? undefined : wordFor(argument, [command]);
  if (argument === undefined || typed === undefined) return `See cairn ${command.words.join(" ")} --help.`;
  const given = example[argument];
  const value = Array.isArray(given) ? given[0] : given;
  const isPlain = typeof value === "string" || typeof value === "number";
  const shown = isPlain ? `For example: ${typed.startsWith("-") ? `${typed} ` : ""}${value}. ` : "";
  return `${shown}${typed}${inWords(rest, command, commands)}`;
}

/** Replaces the names of operations and arguments outside of quotes. */
function inWords(text: string, command: Command, commands: readonly Command[]): string {
  const words = new Set(text.match(/[a-z_]+/g));
  const near = [command, ...commands.filter((each) => words.has(operationOf(each)))];
  return text
    .replaceAll(/\s*\([^()]*over REST[^()]*\)/g, "")
    .split(QUOTED)
    .map((part, at) => (at % 2 === 1 ? part : plainInWords(part, near, commands)))
    .join("");
}

function plainInWords(text: string, near: readonly Command[], commands: readonly Command[]): string {
  return text
    .replaceAll(/`([a-z_]+)`/g, (whole, name: string) => wordFor(name, near, "with its value") ?? whole)
    .replaceAll(/(?<![\w.-])([a-z_]+): true\b/g, (whole, name: string) => wordFor(name, near) ?? whole)
    .replaceAll(NAME, (_, before: string | undefined, name: string) => {
      const typed = commandFor(name, commands);
      if (typed !== undefined) return `${RUN[before ?? ""] ?? ""}${typed}`;
      return `${before ?? ""}${wordFor(name, near) ?? name}`;
    });
}

/** Returns the command that calls an operation, or the way to call one without a command; undefined for other names. */
function commandFor(name: string, commands: readonly Command[]): string | undefined {
  const command = commands.find((each) => operationOf(each) === name);
  if (command !== undefined) return `cairn ${command.words.join(" ")}`;
  return OPERATION_NAMES.has(name) ? `cairn call ${name}` : undefined;
}

/** Returns the option or positional argument by which the first of these commands fills an argument. */
function wordFor(argument: string, near: readonly Command[], form?: "with its value"): string | undefined {
  for (const { options = [], args = [], asksNode } of near) {
    const all = [...options, ...(asksNode === true ? NODE_OPTIONS : [])];
    const option = all.find((each) => filledBy(each) === argument);
    if (option !== undefined) {
      const [flag = "", value = ""] = option.flags.split(" ");
      return form === undefined || value === "" ? flag : `${flag} ${value.replaceAll(/[<>]/g, "").toUpperCase()}`;
    }
    const positional = args.find(({ name, fills }) => (fills ?? plainName(name).toLowerCase()) === argument);
    if (positional !== undefined) return plainName(positional.name);
  }
  return undefined;
}

/** Returns the argument that an option fills. */
export function filledBy({ flags, fills }: Pick<Option, "flags" | "fills">): string {
  return fills ?? (flags.split(" ")[0] ?? "").slice(2).replaceAll("-", "_");
}

function plainName(name: string): string {
  return name.replaceAll(/[[\].]/g, "");
}
