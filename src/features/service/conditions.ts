// Health conditions of services, raised by the leader.

import type { ConditionTable } from "../../observe/conditions.ts";

/** By code. */
export const serviceConditions = {
  service_down: {
    title: "A service is ready nowhere",
    severity: "warning",
    hint: "The text says why. `cairn service get NAME` shows its state, `cairn service output NAME` what it wrote, `cairn service plan` which members could run it.",
  },
} as const satisfies ConditionTable;
