// Loads the commands of one first word alone, for command lines that need no more: the whole table imports the whole
// program, which takes most of the time of a short command. Words that are not here are found in table.ts.

import type { FeatureCommand } from "../operation/feature-command.ts";
import type { Command } from "./command.ts";

type Load = () => Promise<readonly Command[]>;

/** Each gives the rows that the table has for its word, in that order. */
const LOADERS: ReadonlyMap<string, Load> = new Map<string, Load>([
  ["context", contextCommands],
  ["call", async () => [(await import("./call.ts")).call]],
  ["prime", async () => [(await import("./prime.ts")).prime]],
  ["setup", async () => [(await import("./setup.ts")).setup]],
  ["status", async () => [(await import("./status.ts")).status]],
  ["reload", async () => [(await import("./operate/reload.ts")).reload]],
  ["log-level", async () => [(await import("./operate/log-level.ts")).logLevel]],
  ["wait", async () => [(await import("./wait/wait.ts")).wait]],
  ["whoami", async () => [(await import("./whoami.ts")).whoami]],
  ["access", async () => [(await import("./access.ts")).accessExplain]],
  ["audit", async () => [(await import("./audit.ts")).audit]],
  ["blob", blobCommands],
  ["apply", async () => [(await import("./declare/apply.ts")).applyCommand]],
  ["deploy", async () => [(await import("./deploy/deploy.ts")).deployCommand]],
  ["declarations", async () => rows((await import("../features/declare/commands.ts")).declareCommands)],
  ["agents", agentCommands],
  ["lease", leaseCommands],
  ["guard", guardCommands],
  ["session", sessionCommands],
  ["say", sessionCommands],
  ["inbox", sessionCommands],
  ["search", async () => rows((await import("../features/search/commands.ts")).searchCommands)],
  ["memory", async () => rows((await import("../features/memory/commands.ts")).memoryCommands)],
  ["probe", async () => rows((await import("../features/probe/commands.ts")).probeCommands)],
  ["job", async () => rows((await import("../features/job/commands.ts")).jobCommands)],
  ["version", async () => [(await import("./version.ts")).version]],
]);

/** Returns the commands of a first word; undefined where only the whole table has them. */
export async function lightCommands(word: string): Promise<readonly Command[] | undefined> {
  const found = await LOADERS.get(word)?.();
  return found?.filter(({ words }) => words[0] === word);
}

/** The first words that are loaded alone, for the test that compares them with the table. */
export const LIGHT_WORDS: readonly string[] = [...LOADERS.keys()];

async function rows(commands: readonly FeatureCommand[]): Promise<readonly Command[]> {
  const { commandRows } = await import("./feature-commands.ts");
  return commandRows(commands);
}

async function contextCommands(): Promise<readonly Command[]> {
  const [read, write, watch, { contextEdit }, { contextGrep }] = await Promise.all([
    import("./context/read.ts"),
    import("./context/write.ts"),
    import("./context/watch.ts"),
    import("./context/edit.ts"),
    import("./context/grep.ts"),
  ]);
  return [
    ...[read.contextGet, write.contextPut, write.contextPatch, contextEdit, write.contextDelete, read.contextList],
    ...[contextGrep, read.contextHistory, read.contextDiff, write.contextRestore, read.contextMetadata],
    ...[watch.contextWatch, watch.contextWait, write.contextMany, write.contextPurge],
  ];
}

async function blobCommands(): Promise<readonly Command[]> {
  const [{ blobPutCommand }, { blobGetCommand }, of] = await Promise.all([
    import("./blob/put.ts"),
    import("./blob/get.ts"),
    import("../features/blob/commands.ts"),
  ]);
  return [blobPutCommand, blobGetCommand, ...(await rows(of.blobCommands))];
}

async function agentCommands(): Promise<readonly Command[]> {
  const [{ agentsRegister }, of] = await Promise.all([import("./agents.ts"), import("../features/agent/commands.ts")]);
  return [...(await rows(of.agentCommands)), agentsRegister];
}

async function leaseCommands(): Promise<readonly Command[]> {
  const [{ leaseRun }, of] = await Promise.all([import("./lease/run.ts"), import("../features/lease/commands.ts")]);
  return [...(await rows(of.leaseCommands)), leaseRun];
}

async function guardCommands(): Promise<readonly Command[]> {
  const { guardCheck, guardInstall } = await import("./lease/guard.ts");
  return [guardInstall, guardCheck];
}

async function sessionCommands(): Promise<readonly Command[]> {
  return rows((await import("../features/session/commands.ts")).sessionCommands);
}
