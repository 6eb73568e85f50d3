// cairn call NAME [JSON]: any operation, JSON in and out.

import { askNode } from "./client.ts";
import type { Command } from "./command.ts";
import { parseJsonInput, readInput } from "./input.ts";
import { writeData } from "./output.ts";

export const call: Command = {
  words: ["call"],
  summary: "run any operation of a node: JSON in, JSON out",
  more: `Examples:\n  cairn call whoami\n  cairn call context_get '{"id": "team-a/plan"}'\n  cat input.json | cairn call context_put -`,
  args: [
    { name: "NAME", help: "the operation, such as context_get" },
    { name: "[JSON]", help: "its input, or - to read it from stdin" },
  ],
  asksNode: true,
  async run(invocation) {
    const [name = "", given = "{}"] = invocation.args;
    const input = parseJsonInput(given === "-" ? await readInput("-") : given, "The input");
    const answer = await askNode(invocation, name, input);
    const pretty = invocation.options["json"] !== true && process.stdout.isTTY === true;
    await writeData(`${pretty ? JSON.stringify(answer.body, null, 2) : answer.text}\n`);
    return 0;
  },
};
