// cairn events log|move: where the log of events is, and how it is moved.

import { counted } from "../../../lib/counted.ts";
import type { FeatureCommand } from "../../../operation/feature-command.ts";

const log: FeatureCommand = {
  words: ["events", "log"],
  summary: "show where the log of events is, what it promises, and a move that is under way",
  operation: "event_log_get",
  input: () => ({}),
  show: ({ log: kind, durability, events, bytes, oldest, newest, waiting, untold, stream, heard, move, problem }) => {
    const under = move as { to: string; state: string; copied?: number } | undefined;
    const lines = [
      heard === false
        ? `${kind}: this node has not reached it since it started; it had events up to ${newest} at least`
        : `${kind}: ${events} events (${bytes} bytes) from ${oldest} to ${newest}`,
      ...(stream === undefined ? [] : [`stream of NATS: ${stream}`]),
      `promise: ${durability}`,
      ...(waiting === 0 ? [] : [`${waiting} events of Cairn itself are not in it yet`]),
      ...(untold === undefined
        ? []
        : [`${counted(untold as number, "change")} made no event, because too many waited: the audit has them`]),
      ...(problem === undefined ? [] : [`this node cannot use it: ${problem}`]),
      ...(under === undefined ? [] : [`moving to ${under.to}: ${progressText(under, events as number)}`]),
    ];
    return `${lines.join("\n")}\n`;
  },
};

const move: FeatureCommand = {
  words: ["events", "move"],
  summary: "move the log of events into NATS JetStream or back, or stop that; without --yes it only counts and looks",
  more: [
    "The leader copies and switches; `cairn events log` says how far it is. --cancel stops a move: nothing is lost.",
    "Without --yes the node that is asked looks whether it reaches NATS, and says which stream is meant.",
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
  show: ({ from, to, events, bytes, after, problem, heard, waiting, nats, begun }, { options }) => {
    const all = `${events} events (${bytes} bytes)`;
    const ask = begun === true ? "" : "; give --yes to do it";
    if (options["cancel"] === true)
      return `${begun === true ? "stopped" : "would stop"} the move to ${from}: ${all} stay in ${to}${ask}\n`;
    if (after !== undefined)
      return [
        `this node cannot use the stream: ${problem}`,
        ...(begun === true ? [] : ["where its data are still there, bring NATS back instead: nothing is lost then"]),
        `${begun === true ? "giving up" : "would give up"} the stream with all of its events: ${
          heard === false
            ? "how many is not known, because this node has not reached it since it started"
            : `this node knows of ${all}, and not of what came since it saw the stream last`
        }`,
        ...(waiting === 0 ? [] : [`${waiting} events of Cairn itself that wait are kept, and come behind`]),
        `the replicated log goes on behind ${after}, the last place that ${heard === false ? "the fleet" : "this node"} knows; readers get below_floor with the place to go on from${ask}\n`,
      ].join("\n");
    const seen = nats === undefined ? "" : natsText(nats as Nats, to === "jetstream", bytes as number);
    const isAway = begun !== true && (nats as Nats | undefined)?.problem !== undefined;
    return `${seen}${begun === true ? "moving" : "would move"} ${all} from ${from} to ${to}${isAway ? REACH_FIRST : ask}\n`;
  },
};

/** A move that is begun without NATS does not get on. */
const REACH_FIRST = `
before that each full member has to reach NATS: its host goes into outbound.allow there (CAIRN_OUTBOUND_ALLOW, or
outbound.allow = ["HOST"] in cairn.toml, then a restart); \`cairn fleet settings\` shows events.nats_url and the login`;

interface Nats {
  stream: string;
  replicas: number;
  problem?: string;
  events?: number;
  max_payload?: number;
  free_bytes?: number;
}

/** Returns what NATS said. The leader does the move, so what keeps this node may not keep it. */
function natsText({ stream, replicas, ...nats }: Nats, isNew: boolean, bytes: number): string {
  const { problem, events, max_payload: most, free_bytes: free } = nats;
  if (problem !== undefined) return `this node does not reach NATS: ${problem}\n`;
  const has = `${counted(events ?? 0, "event")}`;
  const what = isNew && events === undefined ? `would be made, with ${counted(replicas, "replica")}` : `has ${has}`;
  const lines = [
    `this node reaches NATS: the stream ${stream} ${what}`,
    ...(isNew && most !== undefined ? [`NATS takes events of up to ${most} bytes`] : []),
    ...(isNew && free !== undefined
      ? [`the account has room for ${free} bytes${free < bytes ? ": too few" : ""}`]
      : []),
  ];
  return `${lines.join("\n")}\n`;
}

function progressText({ state, copied }: { state: string; copied?: number }, events: number): string {
  return copied === undefined ? state : `${state}, ${copied} of ${events} copied`;
}

/** The commands, in the order of the help. */
export const moveCommands: readonly FeatureCommand[] = [log, move];
