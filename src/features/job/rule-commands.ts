// cairn rule list|plan: rules on values.

import { columns } from "../../lib/columns.ts";
import { Fault } from "../../lib/fault.ts";
import { type FeatureCommand, optionText } from "../../operation/feature-command.ts";

type Row = Readonly<Record<string, unknown>>;

function lineOf(rule: Row): string[] {
  const bound = rule["above"] === undefined ? `below ${rule["below"]}` : `above ${rule["above"]}`;
  const next = rule["next_possible"] === undefined ? "" : `not before ${rule["next_possible"]}`;
  return [
    ...[String(rule["name"]), String(rule["state"]), `${rule["probe"]} ${bound}`, String(rule["action"])],
    ...[`jobs ${rule["open_jobs"]} of ${rule["at_most"]}`, `fired ${rule["firings"]}`, String(rule["why"]), next],
  ];
}

function numberOf(text: string): number {
  if (/^-?[0-9]+(?:\.[0-9]+)?$/.test(text)) return Number(text);
  throw new Fault("invalid_input", `${JSON.stringify(text)} is no number`, { hint: "Write it as 25 or -0.5." });
}

/** The commands of rules. */
export const ruleCommands: readonly FeatureCommand[] = [
  {
    words: ["rule", "list"],
    summary: "list the rules that start jobs by the numbers of probes, with what each does now and why",
    more: "Declare one with `cairn apply -f FILE`, or as the context fleet/rules/NAME.",
    options: [
      { flags: "--space <space>", help: "only those with jobs of this space" },
      { flags: "--name <name>", help: "only this rule" },
    ],
    operation: "rule_list",
    input: (words) => ({ ...optionText(words, "space"), ...optionText(words, "name") }),
    show: ({ rules }) => ((rules as Row[]).length === 0 ? "no rules\n" : columns((rules as Row[]).map(lineOf))),
  },
  {
    words: ["rule", "plan"],
    summary: "say what a rule would start at a number; starts nothing, and exits 3 where it would not",
    more: "Example:\n  cairn rule plan more-workers 25",
    args: [
      { name: "NAME", help: "name of the rule", fills: "name" },
      { name: "VALUE", help: "the number to suppose", fills: "value" },
    ],
    operation: "rule_plan",
    input: ({ args: [name, value] }) => ({ name, ...(value === undefined ? {} : { value: numberOf(value) }) }),
    show: ({ name, fires, state, why, after_seconds: after, not_before: not, job }) => {
      const { action, space, input } = (job ?? {}) as Row;
      if (fires !== true) return `${name} would start nothing (${state}): ${why}\n`;
      const time = not === undefined ? "" : `, not before ${not}`;
      return `${name} would start ${action} in ${space} after ${after} s${time}: ${JSON.stringify(input)}\n`;
    },
    isNo: ({ fires }) => fires !== true,
  },
];
