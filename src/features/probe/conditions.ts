// Health conditions of probes, raised by the leader.

import type { ConditionTable } from "../../observe/conditions.ts";

/** By code. */
export const probeConditions = {
  probe_down: {
    title: "A probe is down",
    severity: "warning",
    hint: "The text says what failed. `cairn probe get NAME` shows its last results; `cairn probe mute NAME` for a time in which this is known.",
  },
} as const satisfies ConditionTable;
