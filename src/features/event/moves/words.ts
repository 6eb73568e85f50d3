// cairn events log|move: where the log of events is, and how it is moved.

import type { FeatureCommand } from "../../../operation/feature-command.ts";

const log: FeatureCommand = {
  words: ["events", "log"],
  summary: "show where the log of events is, what it promises, and a move that is under way",
  operation: "event_log_get",
  input: () => ({}),
  show: ({ log: kind, durability, events, bytes, oldest, newest, waiting, untold, stream, move, problem }) => {
    const under = move as { to: string; state: string } | undefined;
    const lines = [
      `${kind}: ${events} events (${bytes} bytes) from ${oldest} to ${newest}`,
      ...(stream === undefined ? [] : [`stream of NATS: ${stream}`]),
      `promise: ${durability}`,
      ...(waiting === 0 ? [] : [`${waiting} events of Cairn itself are not in it yet`]),
      ...(untold === undefined ? [] : [`${untold} changes made no event, because too many waited: the audit has them`]),
      ...(problem === undefined ? [] : [`this node cannot use it: ${problem}`]),
      ...(under === undefined ? [] : [`moving to ${under.to}: ${under.state}`]),
    ];
    return `${lines.join("\n")}\n`;
  },
};

const move: FeatureCommand = {
  words: ["events", "move"],
  summary: "move the log of events into NATS JetStream or back, or stop that; without --yes it only counts",
  more: [
    "The leader copies and switches; `cairn events log` says how far it is. --cancel stops a move: nothing is lost.",
    "--to fleet --lost is for a stream that is gone for good: its events are given up.",
  ].join("\n"),
  options: [
    { flags: "--to <log>", help: "jetstream, or fleet: the replicated log", offers: ["jetstream", "fleet"] },
    { flags: "--lost", help: "give up the events of a stream that is gone for good" },
    { flags: "--cancel", help: "stop the move that is under way" },
    { flags: "--yes", help: "do it, in place of only counting", fills: "dry" },
  ],
  operation: "event_log_move",
  input: ({ options }) => ({
    ...(options["to"] === undefined ? {} : { to: options["to"] }),
    ...(options["lost"] === true ? { lost: true } : {}),
    ...(options["cancel"] === true ? { cancel: true } : {}),
    dry: options["yes"] !== true,
  }),
  show: ({ from, to, events, bytes, after, problem, begun }, { options }) => {
    const all = `${events} events (${bytes} bytes)`;
    const ask = begun === true ? "" : "; give --yes to do it";
    if (options["cancel"] === true)
      return `${begun === true ? "stopped" : "would stop"} the move to ${from}: ${all} stay in ${to}${ask}\n`;
    if (after !== undefined)
      return [
        `this node cannot use the stream: ${problem}`,
        ...(begun === true ? [] : ["where its data are still there, bring NATS back instead: nothing is lost then"]),
        `${begun === true ? "giving up" : "would give up"} the stream with all of its events; this node knows of ${all}`,
        `the replicated log goes on behind ${after}; readers get below_floor with the place to go on from${ask}\n`,
      ].join("\n");
    return `${begun === true ? "moving" : "would move"} ${all} from ${from} to ${to}${ask}\n`;
  },
};

/** The commands, in the order of the help. */
export const moveCommands: readonly FeatureCommand[] = [log, move];
