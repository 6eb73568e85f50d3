// Health conditions of deliveries.

import type { ConditionTable } from "../../../observe/conditions.ts";

/** By code. */
export const subscriptionConditions = {
  subscription_failing: {
    title: "Events are not delivered",
    severity: "warning",
    hint: "Look at it with subscription_get; the target is tried again by itself, and no event is lost before retention removes it.",
  },
  subscription_stopped: {
    title: "A subscription has stopped",
    severity: "warning",
    hint: "Mend what the text names, then subscription_resume; or subscription_end.",
  },
} as const satisfies ConditionTable;
