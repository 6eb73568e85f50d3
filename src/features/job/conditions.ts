// Health conditions of jobs, raised by the leader.

import type { ConditionTable } from "../../observe/conditions.ts";

/** By code. */
export const jobConditions = {
  jobs_unwanted: {
    title: "Jobs wait for a node that runs them",
    severity: "warning",
    hint: "Name the action in `fleet.run` of a node that fits its `where`, and see whether that node has free places (`fleet.jobs`). `cairn job list --state queued` shows the jobs.",
  },
  schedule_failing: {
    title: "A schedule cannot start its job",
    severity: "warning",
    hint: "The text says why. Correct the context fleet/schedules/NAME, or the action that it names.",
  },
  rule_failing: {
    title: "A rule cannot start its job",
    severity: "warning",
    hint: "The text says why. Correct the context fleet/rules/NAME, or the action that it names.",
  },
} as const satisfies ConditionTable;
