// Health conditions of declarations.

import type { ConditionTable } from "../../observe/conditions.ts";

/** By code. */
export const declareConditions = {
  declaration_refused: {
    title: "A declaration is refused",
    severity: "warning",
    hint: "The text says what is wrong. Correct the context, or restore an earlier version with `cairn context restore ID VERSION`; until then what was in force stays so.",
  },
  declaration_unreadable: {
    title: "A declaration is not for this build",
    severity: "warning",
    hint: "Update cairn on this node to the version of the leader. Until then it does not do what the text names.",
  },
} as const satisfies ConditionTable;
