// cairn fleet settings: shows the limits that hold on every node of the fleet, and changes one.

import { Fault } from "../../lib/fault.ts";
import { FLEET_SETTINGS, parseFleetSetting } from "../../operation/fleet-settings.ts";
import { askNode } from "../client.ts";
import type { Command, Invocation } from "../command.ts";
import { confirmed, YES } from "../confirm.ts";
import { cell, objectsOf, say, showAnswer } from "../output.ts";
import { askLeader } from "./ask-leader.ts";

/** A wider name or value is not aligned. */
const MAX_WIDTH = 40;

/** `cairn fleet settings`. */
export const fleetSettings: Command = {
  words: ["fleet", "settings"],
  summary: "show the limits that hold on every node of the fleet, or set one",
  more: `Without NAME it lists them. A value is written as in the settings file; a list has commas. Set one on the leader.
The settings of a node are only what a new fleet begins with.
Examples:
  cairn fleet settings
  cairn fleet settings history.max_versions 200
  cairn fleet settings history.spaces logs=10/30/1,docs=0`,
  args: [
    { name: "[NAME]", help: "the setting, such as history.max_versions" },
    { name: "[VALUE]", help: 'its new value; "" empties a list' },
  ],
  options: [YES],
  asksNode: true,
  run(invocation) {
    const [name, value] = invocation.args;
    return name === undefined || value === undefined
      ? listSettings(invocation, name)
      : setSetting(invocation, name, value);
  },
};

async function listSettings(invocation: Invocation, name: string | undefined): Promise<number> {
  const answer = await askNode(invocation, "fleet_settings", {});
  const all = objectsOf(answer.body["settings"]);
  const rows = name === undefined ? all : all.filter((row) => row["name"] === name);
  if (rows.length === 0) throw unknownSetting(name, all);
  return showAnswer(invocation, answer, () => {
    if (rows.some(({ stored }) => stored === false))
      say("the log has no values yet: each node that leads uses its own until every full member runs this version");
    return settingLines(rows.map((row) => [cell(row["name"]), cell(row["value"]), cell(row["help"])]));
  });
}

/** Long values, such as a list, move their own help only. */
export function settingLines(rows: readonly (readonly [name: string, value: string, help: string])[]): string {
  const widest = (at: 0 | 1) =>
    Math.max(0, ...rows.map((row) => row[at].length).filter((length) => length <= MAX_WIDTH));
  const [names, values] = [widest(0), widest(1)];
  return rows.map(([name, value, help]) => `${name.padEnd(names)}  ${value.padEnd(values)}  ${help}\n`).join("");
}

async function setSetting(invocation: Invocation, name: string, value: string): Promise<number> {
  const { body } = await askNode(invocation, "fleet_settings", {});
  const all = objectsOf(body["settings"]);
  if (!all.some((row) => row["name"] === name)) throw unknownSetting(name, all);
  const key = FLEET_SETTINGS.find((each) => each === name);
  if (key !== undefined) parseFleetSetting(key, value);
  // What history limits no longer keep is removed for good, within minutes.
  if (name.startsWith("history."))
    await confirmed(invocation, `This sets ${name} to ${value || "nothing"}; what it no longer keeps is removed`, name);
  const note = name === "events.log" ? eventLogNote((await askNode(invocation, "event_log_get", {})).body, value) : "";
  const words = `fleet settings ${name} ${value === "" ? '""' : value}`;
  const answer = await askLeader(invocation, "fleet_settings_set", { name, value }, words);
  return showAnswer(invocation, answer, (body) => {
    const now = cell(body["value"]) || "empty";
    if (body["before"] === body["value"]) return `${name} is ${now} already\n`;
    return `${name} is ${now} on every node now${body["before"] === null ? "" : `; it was ${cell(body["before"]) || "empty"}`}\n${note}`;
  });
}

/** Returns what is to be said of a log of events that has begun: the setting is for a new fleet, and moves none. */
export function eventLogNote(log: Readonly<Record<string, unknown>>, value: string): string {
  const isEmpty = cell(log["newest"]).endsWith("-e0");
  if (log["log"] === value || isEmpty || log["move"] !== undefined) return "";
  return `where something was published already this moves nothing: the events are in the log ${cell(log["log"])} still, and \`cairn events move --to ${value}\` moves them\n`;
}

function unknownSetting(name: string | undefined, all: readonly Record<string, unknown>[]): Fault {
  return new Fault("invalid_input", `${JSON.stringify(name)} is no setting of the fleet`, {
    hint: `They are ${all.map((row) => cell(row["name"])).join(", ")}. Others belong to one node: cairn config show.`,
  });
}
