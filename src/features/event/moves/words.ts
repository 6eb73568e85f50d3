// cairn events log|move: where the log of events is, and how it is moved.

import type { FeatureCommand } from "../../../operation/feature-command.ts";

const log: FeatureCommand = {
  words: ["events", "log"],
  summary: "show where the log of events is, what it promises, and a move that is under way",
  operation: "event_log_get",
  input: () => ({}),
  show: ({ log: kind, durability, events, bytes, oldest, newest, waiting, move }) => {
    const under = move as { to: string; state: string } | undefined;
    const lines = [
      `${kind}: ${events} events (${bytes} bytes) from ${oldest} to ${newest}`,
      `promise: ${durability}`,
      ...(waiting === 0 ? [] : [`${waiting} events of Cairn itself are not in it yet`]),
      ...(under === undefined ? [] : [`moving to ${under.to}: ${under.state}`]),
    ];
    return `${lines.join("\n")}\n`;
  },
};

const move: FeatureCommand = {
  words: ["events", "move"],
  summary: "move the log of events into NATS JetStream or back; without --yes it only counts",
  more: "The leader copies and switches; `cairn events log` says how far it is.",
  options: [
    { flags: "--to <log>", help: "jetstream, or fleet: the replicated log", offers: ["jetstream", "fleet"] },
    { flags: "--yes", help: "move it, in place of only counting", fills: "dry" },
  ],
  operation: "event_log_move",
  input: ({ options }) => ({ to: options["to"], dry: options["yes"] !== true }),
  show: ({ from, to, events, bytes, begun }) =>
    begun === true
      ? `moving ${events} events (${bytes} bytes) from ${from} to ${to}\n`
      : `would move ${events} events (${bytes} bytes) from ${from} to ${to}; give --yes to do it\n`,
};

/** The commands, in the order of the help. */
export const moveCommands: readonly FeatureCommand[] = [log, move];
