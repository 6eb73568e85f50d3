// cairn call NAME [JSON]: any operation, JSON in and out.

import { Fault } from "../lib/fault.ts";
import { askNode } from "./client.ts";
import type { Command } from "./command.ts";
import { readStdin } from "./input.ts";
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
    const input = parseInput(given === "-" ? await readStdin() : given);
    const answer = await askNode(invocation, name, input);
    const pretty = invocation.options["json"] !== true && process.stdout.isTTY === true;
    await writeData(`${pretty ? JSON.stringify(answer.body, null, 2) : answer.text}\n`);
    return 0;
  },
};

function parseInput(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Fault(
      "invalid_input",
      `The input is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        hint: `Quote it for your shell: '{"id": "team-a/plan"}', or pipe it in and give - instead.`,
      },
    );
  }
}
