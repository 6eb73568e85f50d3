// cairn whoami: who the asked node says you are, and what you may do there.

import { columns } from "../lib/columns.ts";
import { askNode } from "./client.ts";
import type { Command } from "./command.ts";
import { writeData } from "./output.ts";

export const whoami: Command = {
  words: ["whoami"],
  summary: "show who you are to a node, and your rights",
  asksNode: true,
  async run(invocation) {
    const answer = await askNode(invocation, "whoami", {});
    if (invocation.options["json"] === true) {
      await writeData(`${answer.text}\n`);
      return 0;
    }
    const { caller, kind, node, grants, problems } = answer.body;
    const rows = [
      ["caller", `${caller} (${kind})`],
      ["device", String(node)],
      ...list(grants).map((grant) => [
        "grant",
        `${grant["role"]} in ${String(grant["spaces"])}${grant["tools"] === undefined ? "" : `, only ${String(grant["tools"])}`}`,
      ]),
      ...(Array.isArray(problems) ? problems.map((problem) => ["problem", String(problem)]) : []),
    ];
    await writeData(columns(rows));
    return 0;
  },
};

function list(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value : [];
}
