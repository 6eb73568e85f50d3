// The health condition of a log of events outside.

import type { ConditionTable } from "../../../observe/conditions.ts";

/** By code. */
export const moveConditions = {
  event_log_away: {
    title: "The log of events cannot be reached",
    severity: "error",
    hint: "Events are refused with 503 and nothing is lost. Look at NATS, events.nats_url and its credentials on this node.",
  },
} as const satisfies ConditionTable;
