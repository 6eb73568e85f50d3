// cairn call NAME [JSON]: runs any operation of a node, JSON in and out.

import { askNode } from "./client.ts";
import type { Command } from "./command.ts";
import { parseJsonInput, readInput } from "./input.ts";
import { wantsJson, writeData } from "./output.ts";

/** `cairn call`. */
export const call: Command = {
  words: ["call"],
  summary: "run any operation of a node: JSON in, JSON out",
  more: `Examples:
  cairn call whoami
  cairn call context_get '{"id": "team-a/plan"}'
  cat input.json | cairn call context_put -`,
  args: [
    { name: "NAME", help: "the operation, such as context_get" },
    { name: "[JSON]", help: "its input, or - to read it from stdin" },
  ],
  asksNode: true,
  takesOperation: true,
  async run(invocation) {
    const [name = "", given = "{}"] = invocation.args;
    const input = parseJsonInput(given === "-" ? await readInput("-") : given, "The input");
    const answer = await askNode(invocation, name, input);
    const isForPeople = !wantsJson(invocation) && process.stdout.isTTY === true;
    await writeData(`${isForPeople ? JSON.stringify(answer.body, null, 2) : answer.text}\n`);
    return 0;
  },
};
