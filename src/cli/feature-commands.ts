// Turns the commands of features into rows of the command table: each calls one operation and shows its answer.

import { Fault } from "../lib/fault.ts";
import type { Feature } from "../operation/feature.ts";
import type { FeatureCommand } from "../operation/feature-command.ts";
import { askNode } from "./client.ts";
import type { Command } from "./command.ts";
import { showPage } from "./output.ts";

/** Returns the commands, in the order of the features. */
export function featureCommands(features: readonly Feature[]): Command[] {
  return features.flatMap(({ commands = [] }) => commands).map(commandOf);
}

function commandOf({ operation, input, show, answerMs, unknown, ...words }: FeatureCommand): Command {
  return {
    ...words,
    asksNode: true,
    async run(invocation) {
      const time = answerMs === undefined ? {} : { answerMs };
      const answer = await askNode(invocation, operation, input(invocation), time).catch((error: unknown) => {
        throw error instanceof Fault && error.code === "unknown_operation" && unknown !== undefined ? unknown() : error;
      });
      return showPage(invocation, answer, show);
    },
  };
}
