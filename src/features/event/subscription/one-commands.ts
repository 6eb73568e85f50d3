// cairn events show|pause|resume|test: one subscription, or one target. Lists and dead letters are in commands.ts.

import { columns } from "../../../lib/columns.ts";
import { counted } from "../../../lib/counted.ts";
import { type FeatureCommand, optionText } from "../../../operation/feature-command.ts";

type Row = Readonly<Record<string, unknown>>;

const ID = { name: "ID", help: "the subscription: its space, a slash and its name" } as const;

const show: FeatureCommand = {
  words: ["events", "show"],
  summary: "show a subscription: state, rules, the last attempts, and when the next one is",
  args: [ID],
  operation: "subscription_get",
  input: ({ args }) => ({ id: args[0] }),
  show: ({ subscription, behind, dead_letters: dead, failing, attempts, rule_problem: problem, at }) => {
    const row = subscription as Row;
    const next = failing === undefined ? [] : [["next", String((failing as Row)["next"])]];
    const rules = (row["rules"] as readonly Row[]).map(({ id }) => String(id)).join(", ");
    const facts = [
      ["state", stateOf(row, failing !== undefined)],
      ["to", row["target"] === undefined ? JSON.stringify(row["context"] ?? row["callback"]) : String(row["target"])],
      ["owner", String(row["owner"])],
      ["rules", rules === "" ? "none: every event is sent" : rules],
      ["behind", `${counted(Number(behind), "event")}, of any space, after ${at}`],
      ["dead", counted(Number(dead), "letter")],
      ...next,
      ...(problem === undefined
        ? []
        : [["problem", `rule ${(problem as Row)["rule"]}: ${(problem as Row)["reason"]}`]]),
    ];
    const lines = (attempts as readonly Row[]).map(({ at, offset, attempt, result, status, detail }) => [
      ...[String(at), `event ${offset}`, `attempt ${attempt}`, String(result)],
      ...[status === 0 ? "no response" : `HTTP ${status}`, firstLine(detail)],
    ]);
    return `${columns(facts)}${lines.length === 0 ? "no attempts\n" : columns(lines)}`;
  },
};

const pause: FeatureCommand = {
  words: ["events", "pause"],
  summary: "stop sending; the subscription keeps its place",
  more: "Events that retention removes meanwhile are not sent, and are counted in missed.",
  args: [ID],
  operation: "subscription_pause",
  input: ({ args }) => ({ id: args[0] }),
  show: (row) => `${row["id"]} is ${stateOf(row, false)}\n`,
};

const resume: FeatureCommand = {
  words: ["events", "resume"],
  summary: "go on with a subscription, or try a failing one at once; you own it from then on",
  args: [ID],
  options: [
    { flags: "--since <cursor>", help: "go on after this cursor, at oldest or now (default: where it stopped)" },
  ],
  operation: "subscription_resume",
  input: (words) => ({ id: words.args[0], ...optionText(words, "since") }),
  show: (row) => `${row["id"]} is ${stateOf(row, false)} after ${row["cursor"]}\n`,
};

const test: FeatureCommand = {
  words: ["events", "test"],
  summary: "send a declared target one event of a test now; exits 3 when it is not taken",
  args: [{ name: "TARGET", help: "its name, as in cairn events targets", fills: "id" }],
  operation: "event_target_test",
  input: ({ args }) => ({ id: args[0] }),
  show: ({ result, status, detail }) =>
    `${[String(result), status === 0 ? "no response" : `HTTP ${status}`, firstLine(detail)].join("  ").trimEnd()}\n`,
  isNo: ({ success }) => success !== true,
};

/** The commands, in the order of the help. */
export const oneCommands: readonly FeatureCommand[] = [show, pause, resume, test];

function stateOf({ state, reason }: Row, isFailing: boolean): string {
  if (reason !== undefined) return `${state} (${reason})`;
  return isFailing ? "failing" : String(state);
}

function firstLine(detail: unknown): string {
  return String(detail).split("\n")[0] ?? "";
}
