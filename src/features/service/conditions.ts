// Health conditions of services, raised by the leader.

import type { ConditionTable } from "../../observe/conditions.ts";

/** By code. */
export const serviceConditions = {
  service_down: {
    title: "A service is ready nowhere",
    severity: "warning",
    hint: "The text says why. `cairn service get NAME` shows its state, `cairn service output NAME` what it wrote, `cairn service plan` which members could run it.",
  },
  deploy_failed: {
    title: "A deploy of a service was taken back",
    severity: "warning",
    hint: "The text says why. The next deploy of the service, or `cairn service rollback NAME`, ends this.",
  },
} as const satisfies ConditionTable;
