// The health condition of a log of events outside.

import type { ConditionTable } from "../../../observe/conditions.ts";

/** By code. */
export const moveConditions = {
  event_log_away: {
    title: "The log of events cannot be reached",
    severity: "error",
    hint: "Events are refused with 503, a move and events of Cairn itself wait, and nothing is lost by that. Look at NATS, events.nats_url and its credentials on this node. Only where the data of NATS are gone for good: `cairn events move --to fleet --lost`.",
  },
  event_log_stuck: {
    title: "The leader cannot go on with the log of events",
    severity: "error",
    hint: "A move, or events of Cairn itself, do not get on; it is tried again. `cairn events log` says how far they are.",
  },
  own_events_waiting: {
    title: "Events of what Cairn does wait for NATS",
    severity: "warning",
    hint: "Bring NATS back, move the log (`cairn events move`), or take types out of events.own: at 100,000 the writes that make such events are refused, at 200,000 what the fleet itself does makes none.",
  },
} as const satisfies ConditionTable;
