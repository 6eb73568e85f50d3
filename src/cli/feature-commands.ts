// Turns the commands of features into rows of the command table: each calls one operation and shows its answer.

import { Fault } from "../lib/fault.ts";
import type { Feature } from "../operation/feature.ts";
import type { FeatureCommand } from "../operation/feature-command.ts";
import { noteUnknown } from "./addressees.ts";
import { askNode } from "./client.ts";
import type { Command } from "./command.ts";
import { NEGATIVE_EXIT } from "./exit.ts";
import { showAnswer, showPage } from "./output.ts";

/** Returns the commands, in the order of the features. */
export function featureCommands(features: readonly Feature[]): Command[] {
  return commandRows(features.flatMap(({ commands = [] }) => commands));
}

/** Returns commands of features as rows of the table. */
export function commandRows(commands: readonly FeatureCommand[]): Command[] {
  return commands.map(commandOf);
}

function commandOf(command: FeatureCommand): Command {
  const { input, show, answerMs, isNo, unknown, addressed, failure, ...words } = command;
  const { operation, options = [] } = words;
  const hasPages = options.some(({ flags }) => flags.startsWith("--cursor "));
  return {
    ...words,
    asksNode: true,
    async run(invocation) {
      const time = answerMs === undefined ? {} : { answerMs };
      const sent = input(invocation);
      const answer = await askNode(invocation, operation, sent, time).catch((error: unknown) => {
        if (error instanceof Fault && error.code === "unknown_operation" && unknown !== undefined) throw unknown();
        throw toldWhere(error, words.words);
      });
      const failed = failure?.(answer.body, invocation);
      if (failed !== undefined) throw failed;
      const showAll = hasPages ? showPage : showAnswer;
      const exit = await showAll(invocation, answer, (output) => show(output, invocation));
      await noteUnknown(invocation, addressed?.(invocation) ?? [], sessionOf(sent));
      return isNo?.(answer.body) === true ? NEGATIVE_EXIT : exit;
    },
  };
}

/** Returns an error that sends to the leader with the command that is to be typed there. */
export function toldWhere(error: unknown, words: readonly string[]): unknown {
  const name = error instanceof Fault && error.code === "forbidden" ? error.facts.leader?.name : undefined;
  if (!(error instanceof Fault) || name === undefined) return error;
  return error.retold(error.message, { hint: `Run it on ${name}: cairn ${words.join(" ")}` });
}

function sessionOf({ session }: Record<string, unknown>): string | undefined {
  return typeof session === "string" ? session : undefined;
}
