// cairn events tail: prints events as they come, on the node's stream of events.

import { commaListItem } from "../../lib/comma-list.ts";
import { type Command, countOption, isSet, textOption } from "../command.ts";
import { say } from "../output.ts";
import { printStream } from "../print-stream.ts";

/** `cairn events tail`. */
export const eventsTail: Command = {
  words: ["events", "tail"],
  summary: "print events as they come, until Ctrl-C; reconnects by itself",
  more: `Examples:
  cairn events tail --own
  cairn events tail 'build.*' --space team-a --count 1      (ends after one event)
--json prints each event as the node sends it, one per line; --since with its cairnposition continues after it.`,
  args: [{ name: "[TYPE]", help: "only events of this type; with * at its end all that begin so" }],
  options: [
    { flags: "--space <space>", help: "only events of this space" },
    { flags: "--source <source>", help: "only events of this source; with * at its end all that begin so" },
    { flags: "--since <cursor>", help: "events after this cursor, or oldest (default: from now on)" },
    { flags: "--time <time>", help: "without --since: events that were ordered at this time or later" },
    { flags: "--own", help: "also those that you send yourself" },
    { flags: "--count <n>", help: "end after this many events" },
  ],
  asksNode: true,
  async run(invocation) {
    const query = new URLSearchParams();
    for (const name of ["space", "source", "time"]) {
      const value = textOption(invocation, name);
      if (value !== undefined) query.set(name, value);
    }
    const [type] = invocation.args;
    if (type !== undefined) query.set("types", commaListItem(type));
    if (isSet(invocation, "own")) query.set("own", "true");
    const maxCount = countOption(invocation, "count", "--count", 1) ?? Number.POSITIVE_INFINITY;
    const since = textOption(invocation, "since") ?? "";
    if (!isSet(invocation, "own")) say("shows events of others; --own shows yours too");
    return printStream(invocation, { path: `/events/stream?${query}`, since, maxCount }, lineOf);
  },
};

function lineOf({ cairntime, type, source, subject, data, cairnposition }: Record<string, unknown>): string {
  const about = subject === undefined ? "" : ` ${subject}`;
  const text = data === undefined ? "" : `  ${JSON.stringify(data)}`;
  return `${cairntime}  ${type}${about}  ${source}${text}  ${cairnposition}\n`;
}
