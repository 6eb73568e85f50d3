// cairn events targets|subscriptions|dead|redrive|purge|stats: where events go, what was not taken, and counts.

import { columns } from "../../../lib/columns.ts";
import { counted } from "../../../lib/counted.ts";
import { wholeNumber } from "../../../lib/whole-number.ts";
import {
  type FeatureCommand,
  optionNumber,
  optionText,
  optionTexts,
  type Words,
} from "../../../operation/feature-command.ts";

type Row = Readonly<Record<string, unknown>>;

const targets: FeatureCommand = {
  words: ["events", "targets"],
  summary: "list the declared targets of events, with their addresses",
  more: "An admin declares one with `cairn call event_target_set JSON` and tries it with `cairn events test NAME`. Secrets are shown as references.",
  operation: "event_target_list",
  input: () => ({}),
  show: ({ targets: list }) =>
    linesOf(list, "no targets", ({ name, target, policy, spaces, by }) => [
      String(name),
      String((target as Row)["kind"]),
      String(policy),
      (spaces as string[]).join(","),
      addressOf(target as Row),
      `by ${by}`,
    ]),
};

const subscriptions: FeatureCommand = {
  words: ["events", "subscriptions"],
  summary: "show subscriptions: state, lag, failed attempts, dead letters, target, and why the last attempt failed",
  options: [{ flags: "--space <space>", help: "only those of this space" }],
  more: `\`cairn call\` has subscription_create, subscription_change, subscription_test and subscription_end.
Docs: docs/event-guide.md.`,
  operation: "event_topology",
  input: (words) => optionText(words, "space"),
  show: ({ subscriptions: list, log }) =>
    `${linesOf(list, "no subscriptions", (row) => [
      String(row["id"]),
      row["reason"] === undefined ? String(row["state"]) : `${row["state"]} (${row["reason"]})`,
      `${row["behind"]} behind`,
      row["lag_seconds"] === undefined ? "lag unknown" : `${row["lag_seconds"]} s`,
      `${row["failed"]} failed`,
      `${row["dead_letters"]} dead`,
      `to ${row["target"] === "" ? row["kind"] : row["target"]}`,
      String(row["problem"] ?? "").split("\n")[0] ?? "",
    ])}${awayText(log as { reached?: boolean } | undefined)}`,
};

/** What is behind and lag go by what the node has seen of the log. */
function awayText(log: { reached?: boolean } | undefined): string {
  return log?.reached === false
    ? "the log of events cannot be reached now: what is behind is the least that there is\n"
    : "";
}

const ID = { name: "ID", help: "the subscription" } as const;
const OFFSETS = {
  flags: "--offset <offset>",
  help: "only this one, by its offset in the list; may be repeated",
  repeated: true,
  fills: "offsets",
};

const dead: FeatureCommand = {
  words: ["events", "dead"],
  summary: "list the events that the target of a subscription did not take",
  args: [ID],
  options: [
    { flags: "--after <offset>", help: "those after this offset" },
    { flags: "--limit <n>", help: "at most this many (default 20)" },
  ],
  operation: "dead_letter_list",
  input: (words) => ({ id: words.args[0], ...optionNumber(words, "after"), ...optionNumber(words, "limit") }),
  show: ({ letters, total, bytes }) =>
    `${linesOf(letters, "", ({ offset, state, attempts, status, detail, event }) => [
      String(offset),
      String((event as Row)["type"]),
      state === "sent_again" ? "is sent again" : counted(Number(attempts), "attempt"),
      status === 0 ? "no response" : `HTTP ${status}`,
      String(detail).split("\n")[0] ?? "",
    ])}${counted(Number(total), "dead letter")} (${bytes} bytes)\n`,
};

const redrive: FeatureCommand = {
  words: ["events", "redrive"],
  summary: "send dead letters again; without --send it only counts them",
  args: [ID],
  options: [OFFSETS, { flags: "--send", help: "send them", fills: "dry" }],
  operation: "dead_letter_redrive",
  input: (words) => ({ ...lettersOf(words), dry: words.options["send"] !== true }),
  show: ({ letters }, { options }) =>
    options["send"] === true
      ? `${letters} ${letters === 1 ? "is" : "are"} sent again\n`
      : `${counted(Number(letters), "dead letter")}\nnothing is sent without --send\n`,
};

const purge: FeatureCommand = {
  words: ["events", "purge"],
  summary: "remove dead letters for good; without --remove it only counts them",
  args: [ID],
  options: [OFFSETS, { flags: "--remove", help: "remove them", fills: "dry" }],
  operation: "dead_letter_purge",
  input: (words) => ({ ...lettersOf(words), dry: words.options["remove"] !== true }),
  show: ({ letters }, { options }) =>
    options["remove"] === true
      ? `${letters} removed\n`
      : `${counted(Number(letters), "dead letter")}\nnothing is removed without --remove\n`,
};

const stats: FeatureCommand = {
  words: ["events", "stats"],
  summary: "count events by type, source, space and sender, by default those of the last hour",
  args: [{ name: "[TYPE]", help: "only events of this type; with * at its end all that begin so", fills: "types" }],
  options: [
    { flags: "--space <space>", help: "only events of this space" },
    { flags: "--after <time>", help: "events that were ordered at this time or later" },
    { flags: "--until-time <time>", help: "events that were ordered before this time" },
    { flags: "--top <n>", help: "so many names of each kind (default 10)" },
  ],
  operation: "event_stats",
  input: (words) => ({
    ...(words.args[0] === undefined ? {} : { types: [words.args[0]] }),
    ...Object.assign({}, ...["space", "after"].map((name) => optionText(words, name))),
    ...optionText(words, "untilTime", "until_time"),
    ...optionNumber(words, "top"),
  }),
  show: (found) => {
    const rows = ["types", "sources", "spaces", "senders"].flatMap((kind) =>
      (found[kind] as readonly Row[]).map(({ name, events, bytes }) => [
        kind.slice(0, -1),
        String(events),
        `${bytes} bytes`,
        String(name),
      ]),
    );
    const part = found["complete"] === true ? "" : ", the newest of them";
    const head = `${found["events"]} events (${found["bytes"]} bytes) from ${found["from"]} to ${found["to"]}${part}\n`;
    return `${head}${rows.length === 0 ? "" : columns(rows)}`;
  },
};

/** The commands, in the order of the help. */
export const subscriptionCommands: readonly FeatureCommand[] = [targets, subscriptions, dead, redrive, purge, stats];

function lettersOf(words: Words): Record<string, unknown> {
  const offsets = optionTexts(words, "offset").map((text) => wholeNumber("--offset", text));
  return { id: words.args[0], ...(offsets.length === 0 ? {} : { offsets }) };
}

function linesOf(list: unknown, none: string, line: (row: Row) => string[]): string {
  const rows = (list as readonly Row[]).map(line);
  return rows.length === 0 ? (none === "" ? "" : `${none}\n`) : columns(rows);
}

function addressOf({ url, service, peer, host, address }: Row): string {
  return String(url ?? peer ?? host ?? address ?? service ?? "");
}
