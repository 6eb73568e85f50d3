// cairn events list|publish: the commands that are one call each. `cairn events tail` is in src/cli/events.

import { columns } from "../../lib/columns.ts";
import { keepNumbers } from "../../lib/json-value.ts";
import { type FeatureCommand, optionNumber, optionText, type Words } from "../../operation/feature-command.ts";

const MAX_SHOWN = 60;

const list: FeatureCommand = {
  words: ["events", "list"],
  summary: "show kept events, the newest first; with --since or --after the oldest first",
  args: [{ name: "[TYPE]", help: "only events of this type; with * at its end all that begin so", fills: "types" }],
  options: [
    { flags: "--space <space>", help: "only events of this space" },
    { flags: "--source <source>", help: "only events of this source; with * at its end all that begin so" },
    { flags: "--subject <subject>", help: "only events with this subject; with * at its end all that begin so" },
    { flags: "--since <cursor>", help: "events after this cursor, or oldest" },
    { flags: "--before <cursor>", help: "events before this cursor" },
    { flags: "--after <time>", help: "events that were ordered at this time or later" },
    { flags: "--limit <n>", help: "at most this many (default 50)" },
  ],
  operation: "event_list",
  input: (words) => ({
    ...(words.args[0] === undefined ? {} : { types: [words.args[0]] }),
    ...textsOf(words, ["space", "source", "subject", "since", "before", "after"]),
    ...optionNumber(words, "limit"),
  }),
  show: ({ events, cursor, more }) => {
    const rows = (events as readonly Record<string, unknown>[]).map((event) => [
      String(event["cairntime"]),
      event["subject"] === undefined ? String(event["type"]) : `${event["type"]} ${event["subject"]}`,
      String(event["source"]),
      shortOf(event["data"]),
      String(event["cairnposition"]),
    ]);
    const further = more === true ? `more behind ${cursor}\n` : "";
    return rows.length === 0 ? `no events\n${further}` : `${columns(rows)}${further}`;
  },
};

const publish: FeatureCommand = {
  words: ["events", "publish"],
  summary: "publish an event; prints its cursor",
  more: "DATA is JSON, or else a text.",
  args: [
    { name: "TYPE", help: "what happened, such as build.done" },
    { name: "[DATA]", help: "JSON, or a text" },
  ],
  options: [
    { flags: "--space <space>", help: "space of the event (default: default)" },
    { flags: "--id <id>", help: "yours, to send it twice and have it once" },
    { flags: "--source <source>", help: "which part of you it comes from, such as ci" },
    { flags: "--subject <subject>", help: "what it is about" },
    { flags: "--time <time>", help: "when it happened (default: now)" },
  ],
  operation: "event_publish",
  input: (words) => ({
    type: words.args[0],
    ...dataOf(words.args[1]),
    ...textsOf(words, ["space", "id", "source", "subject", "time"]),
  }),
  show: ({ cursor, duplicate }) => `${cursor}${duplicate === true ? "  (was there already)" : ""}\n`,
};

/** The commands, in the order of the help. */
export const eventCommands: readonly FeatureCommand[] = [list, publish];

function textsOf(words: Words, names: readonly string[]): Record<string, string> {
  return Object.assign({}, ...names.map((name) => optionText(words, name)));
}

function dataOf(text: string | undefined): Record<string, unknown> {
  if (text === undefined) return {};
  try {
    return { data: keepNumbers(text, JSON.parse(text)) };
  } catch {
    return { data: text, datacontenttype: "text/plain" };
  }
}

function shortOf(data: unknown): string {
  const text = data === undefined ? "" : JSON.stringify(data);
  return text.length <= MAX_SHOWN ? text : `${text.slice(0, MAX_SHOWN - 1)}…`;
}
