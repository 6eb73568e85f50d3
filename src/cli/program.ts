// Builds the command line from the command table: words, help, "did you mean", usage errors. What a command does is in
// its own file.

import { Command as CommanderCommand, CommanderError, Option as CommanderOption } from "commander";
import { refuseEngineVariables } from "../config/engine-variables.ts";
import type { Environment } from "../config/environment.ts";
import { refuseSecretsOnArgv } from "../config/secrets.ts";
import { Fault } from "../lib/fault.ts";
import { listed } from "../lib/listed.ts";
import { nearest } from "../lib/nearest.ts";
import { type Command, NODE_OPTIONS } from "./command.ts";
import { reportFailure, USAGE_EXIT } from "./exit.ts";
import { lightCommands } from "./light-commands.ts";

const VERSION_FLAGS: readonly string[] = ["-V", "--version"];

/** Runs one command line (without the executable's name) and returns its exit code. Never throws. */
export async function runCommandLine(argv: readonly string[], env: Environment): Promise<number> {
  try {
    refuseSecretsOnArgv(argv);
    refuseForeignWords(argv);
    refuseEngineVariables(env);
    let exit = 0;
    const words = asCommand(argv);
    const commands = (await lightCommands(words[0] ?? "")) ?? (await allCommands());
    const program = build(commands, env, (code) => {
      exit = code;
    });
    await program.parseAsync(words, { from: "user" });
    return exit;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE_EXIT;
    return reportFailure(error);
  }
}

/** The runtime puts U+FFFD in place of bytes that are not UTF-8, before anything here sees them. */
function refuseForeignWords(argv: readonly string[]): void {
  const word = argv.find((each) => each.includes("\uFFFD"));
  if (word === undefined) return;
  throw new Fault("invalid_input", `The argument ${JSON.stringify(word.slice(0, 100))} is not UTF-8`, {
    hint: "Use a UTF-8 locale, or give the text in a file or on stdin.",
  });
}

/** `cairn --version` is `cairn version`: what people try first. */
function asCommand(argv: readonly string[]): readonly string[] {
  return VERSION_FLAGS.includes(argv[0] ?? "") ? ["version", ...argv.slice(1)] : argv;
}

/** The whole table imports the whole program: only where it is needed. */
async function allCommands(): Promise<readonly Command[]> {
  return (await import("./table.ts")).COMMANDS;
}

function build(commands: readonly Command[], env: Environment, done: (exit: number) => void): CommanderCommand {
  const program = configured(new CommanderCommand("cairn"))
    .description(
      "One executable that joins a tailnet as its own node and gives your AI agents one versioned context store.",
    )
    .enablePositionalOptions()
    .addOption(new CommanderOption(VERSION_FLAGS.join(", "), "show the versions, as cairn version does"))
    .addHelpText("after", "\nStart with `cairn serve`. Settings: docs/settings.md. Every command has --help.");
  const groups = new Map<string, CommanderCommand>();
  for (const command of commands) {
    const [first, second] = command.words;
    const parent = second === undefined ? program : groupOf(program, groups, first);
    // A word too many may be meant as a second word: the action names those that there are.
    if (second !== undefined && parent.registeredArguments.length === 0) parent.allowExcessArguments();
    const built = commandOf(command, second ?? first, env, done);
    parent.addCommand(built);
    // `backup FOLDER` is a command, and so is `backup list`: options after a second word belong to that word.
    if (second === undefined) groups.set(first, built.enablePositionalOptions());
  }
  return program;
}

const GROUP_SUMMARIES: Readonly<Record<string, string>> = {
  context: "read and write contexts",
  access: "explain who may do what",
  config: "show and check the settings of a node",
  fleet: "the limits that hold on every node of the fleet, and the member for a piece of work",
  service: "programs that the fleet keeps running; install, uninstall and status: cairn itself as a service",
  lease: "hold names of files, branches or devices, so that others keep away from them",
  probe: "health checks of services, machines and jobs",
  job: "work that is queued for nodes and agents",
  rule: "jobs that start by the numbers of probes",
  blob: "store files that are too large for a context, and read them on every node",
  events: "publish what happened, and see what others publish",
  memory: "remember facts, events and notes for an agent, a session or a space",
  session: "talk with agents and people in threads",
  folder: "keep a folder of Markdown and contexts the same",
  graph: "write and read the knowledge graph of a space as a file",
  guard: "let git refuse commits that touch what another one has leased",
};

function groupOf(program: CommanderCommand, groups: Map<string, CommanderCommand>, name: string): CommanderCommand {
  const known = groups.get(name);
  if (known !== undefined) return known;
  const group = configured(new CommanderCommand(name)).description(GROUP_SUMMARIES[name] ?? "");
  // Alone it shows its help. A word that it does not have gets here too, with options that would be those of a command.
  group.allowExcessArguments().allowUnknownOption();
  group.action(async () => {
    await refuseUnknownWord(group);
    group.help({ error: true });
  });
  groups.set(name, group);
  program.addCommand(group);
  return group;
}

function commandOf(command: Command, word: string, env: Environment, done: (exit: number) => void): CommanderCommand {
  const built = configured(new CommanderCommand(word))
    .description(command.summary)
    .aliases([...(command.aliases ?? [])]);
  if (command.usage !== undefined) built.showHelpAfterError(`  try: ${command.usage}`);
  if (command.more !== undefined) built.addHelpText("after", `\n${command.more}`);
  for (const argument of command.args ?? [])
    built.argument(argument.name.startsWith("[") ? argument.name : `<${argument.name}>`, argument.help);
  for (const option of [...(command.options ?? []), ...(command.asksNode === true ? NODE_OPTIONS : [])]) {
    const made = new CommanderOption(option.flags, option.help);
    if (option.repeated === true)
      made.argParser((value: string, before: string[] | undefined) => [...(before ?? []), value]);
    built.addOption(made);
  }
  return built.action(async () => {
    await refuseUnknownWord(built);
    // The last argument may take several words.
    try {
      done(await command.run({ args: built.processedArgs.flat(), options: built.opts(), env }));
    } catch (error) {
      const { inCommandWords } = await import("./in-command-words.ts");
      throw inCommandWords(error, command, await allCommands());
    }
  });
}

/** Refuses the word after a command that takes no arguments, and names the second words that it has. */
async function refuseUnknownWord(command: CommanderCommand): Promise<void> {
  const [word] = command.args;
  if (word === undefined || command.registeredArguments.length > 0) return;
  const known = command.commands.map((each) => each.name());
  const names = command.commands.flatMap((each) => [each.name(), ...each.aliases()]);
  const near = nearest(word, names);
  const meant = near === undefined ? "" : `Did you mean cairn ${command.name()} ${near}? `;
  const isOther = (await allCommands()).some(({ words }) => words.length === 1 && words[0] === word);
  const other = isOther ? ` There is cairn ${word}.` : "";
  throw new Fault("invalid_input", `cairn ${command.name()} has no command ${JSON.stringify(word.slice(0, 80))}`, {
    hint: `${meant}It has ${listed(known)}.${other}`,
  });
}

/** Makes errors exceptions, with commander's "did you mean", and usage go to stderr. */
function configured(command: CommanderCommand): CommanderCommand {
  return command
    .exitOverride()
    .showSuggestionAfterError(true)
    .showHelpAfterError("  try: the same with --help")
    .allowExcessArguments(false)
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "cairn: ")) });
}
