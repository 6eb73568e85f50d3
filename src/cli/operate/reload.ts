// cairn reload: a running node reads its settings again and says what became of them.

import { askNode } from "../client.ts";
import type { Command } from "../command.ts";
import { cell, say, showAnswer, wantsJson } from "../output.ts";

/** `cairn reload`. */
export const reload: Command = {
  words: ["reload"],
  operation: "node_reload",
  summary: "let a node read its settings and its policy file again; says what needs a restart",
  more: `Settings that a start would refuse change nothing, and the exit code is that of the error. SIGHUP does the same, where
the node has no terminal, and the node's log has the result. Variables and flags are those of the start.`,
  asksNode: true,
  async run(invocation) {
    const answer = await askNode(invocation, "node_reload", {});
    if (!wantsJson(invocation)) for (const warning of textsOf(answer.body["warnings"])) say(warning);
    return showAnswer(invocation, answer, linesOf);
  },
};

function linesOf({ file, applied, restart, fleet, policy_file: policy }: Record<string, unknown>): string {
  const [now, later, shared] = [applied, restart, fleet].map(textsOf);
  const lines = [
    typeof file === "string" ? `read ${cell(file)}` : "there is no settings file",
    ...(policy === true ? ["read the policy file"] : []),
    ...(now?.length ? [`in force now: ${now.join(", ")}`] : []),
    ...(later?.length ? [`needs a restart of the node: ${later.join(", ")}`] : []),
    ...(shared?.length ? [`of the fleet, set by cairn fleet settings: ${shared.join(", ")}`] : []),
    ...(now?.length || later?.length || shared?.length ? [] : ["no setting has changed"]),
  ];
  return `${lines.join("\n")}\n`;
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(cell) : [];
}
