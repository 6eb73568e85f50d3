// cairn events replay: counts what a range of kept events would send, and sends it with --send.

import { type FeatureCommand, optionNumber, optionText, type Words } from "../../../operation/feature-command.ts";

const TEXTS = ["since", "time", "until"] as const;

/** `cairn events replay`. */
export const replayCommand: FeatureCommand = {
  words: ["events", "replay"],
  summary: "send a range of kept events again; without --send it only counts them",
  more: `Examples:
  cairn events replay team-a/again --to ops --since oldest
  cairn events replay team-a/again --to ops --time 2026-11-29T16:00:00Z --type 'build.*' --rate 50 --send
ID names the subscription that sends them; it is done with the last one.`,
  args: [{ name: "ID", help: "the space of the events, a slash and a new name" }],
  options: [
    { flags: "--to <target>", help: "a declared target", fills: "target" },
    { flags: "--document <id>", help: "or a document: a list to which the events are added", fills: "context" },
    { flags: "--since <cursor>", help: "the events after this cursor, or oldest" },
    { flags: "--time <time>", help: "in place of --since: the events that were ordered at this time or later" },
    { flags: "--until <cursor>", help: "up to this cursor (default: to the newest)" },
    { flags: "--until-time <time>", help: "in place of --until: the events that were ordered before this time" },
    { flags: "--type <type>", help: "only events of this type; with * at its end all that begin so", fills: "rules" },
    { flags: "--rate <n>", help: "at most so many a second (default 10)" },
    { flags: "--send", help: "send them", fills: "dry" },
  ],
  operation: "event_replay",
  input: (words) => ({
    id: words.args[0],
    ...optionText(words, "to", "target"),
    ...contextOf(words),
    ...Object.assign({}, ...TEXTS.map((name) => optionText(words, name))),
    ...optionText(words, "untilTime", "until_time"),
    ...rulesOf(words),
    ...optionNumber(words, "rate"),
    dry: words.options["send"] !== true,
  }),
  show: ({ events, left_out: left, bytes, complete, seconds, since, until, subscription }, { args }) => {
    const what = `${events} events (${bytes} bytes) of ${since} to ${until}, ${left} left out, in ${seconds} s or more\n`;
    const part = complete === true ? "" : "the range is longer than what was counted\n";
    const next = subscription === undefined ? "nothing is sent without --send\n" : `${args[0]} sends them\n`;
    return `${what}${part}${next}`;
  },
};

function contextOf(words: Words): Record<string, unknown> {
  const { document } = optionText(words, "document");
  return document === undefined ? {} : { context: { kind: "context", mode: "append", id: document } };
}

function rulesOf(words: Words): Record<string, unknown> {
  const { type } = optionText(words, "type");
  if (type === undefined) return {};
  const condition = type.endsWith("*")
    ? { field: "type", operator: "regex", value: `^${type.slice(0, -1).replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&")}` }
    : { field: "type", operator: "eq", value: type };
  return { rules: [{ id: "type", match: { conditions: [condition] } }] };
}
