// Health conditions of searches.

import type { ConditionTable } from "../../observe/conditions.ts";

/** By code. */
export const searchConditions = {
  search_meaning_failed: {
    title: "No vectors for searches by meaning",
    severity: "warning",
    hint: "Fix what the text names. Searches by words work meanwhile; cairn tries again by itself.",
  },
} as const satisfies ConditionTable;
