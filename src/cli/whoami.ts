// cairn whoami: who the caller is to a node, and its rights there.

import { columns } from "../lib/columns.ts";
import { isObject } from "../lib/json-object.ts";
import { askNode } from "./client.ts";
import type { Command } from "./command.ts";
import { cell, objectsOf, showAnswer } from "./output.ts";

/** `cairn whoami`. */
export const whoami: Command = {
  words: ["whoami"],
  summary: "show who you are to a node, and your rights",
  asksNode: true,
  async run(invocation) {
    const answer = await askNode(invocation, "whoami", {});
    return showAnswer(invocation, answer, ({ caller, agent, kind, node, grants, problems }) =>
      columns([
        ["caller", `${caller} (${kind})`],
        ...(isObject(agent) ? [["agent", agentText(agent)]] : []),
        ["device", String(node)],
        ...objectsOf(grants).map((grant) => ["grant", grantText(grant)]),
        ...(Array.isArray(problems) ? problems.map((problem) => ["problem", String(problem)]) : []),
      ]),
    );
  },
};

function agentText({ name, type }: Record<string, unknown>): string {
  return type === "" ? cell(name) : `${cell(name)} (${cell(type)})`;
}

function grantText({ role, spaces, tools }: Record<string, unknown>): string {
  return `${role} in ${String(spaces)}${tools === undefined ? "" : `, only ${String(tools)}`}`;
}
