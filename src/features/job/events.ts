// The events about jobs.

import type { OwnEventTable } from "../../operation/own-events.ts";

const WRITES = [
  ...["job_start", "job_claim", "job_finish", "job_cancel", "job_redrive"],
  ...["job_dispatch", "job_note", "job_expire", "job_fire", "job_rule_fire"],
];
const ruleKind = (when: string, outcome: string) => ({
  ...{ when, subject: "the rule, as SPACE/rules/NAME, with the space of its action" },
  ...{ operations: ["job_rule_fire"], outcomes: [outcome] },
});
const kind = (when: string, ...outcomes: string[]) => ({
  when,
  subject: "the job, as SPACE/jobs/NUMBER",
  operations: WRITES,
  outcomes,
});

/** By type. */
export const jobEvents: OwnEventTable = {
  "cairn.job.queued": kind(
    "a job was started or redriven, or gets another attempt",
    "queued",
    "scheduled",
    "retried",
    "redriven",
  ),
  "cairn.job.started": kind("an attempt at a job runs", "started"),
  "cairn.job.succeeded": kind("a job has succeeded", "succeeded"),
  "cairn.job.failed": kind("an attempt at a job failed, and no other one is of use", "failed"),
  "cairn.job.dead": kind("all attempts at a job failed", "dead"),
  "cairn.rule.fired": ruleKind("a rule started a job: its number was beyond the bound for long enough", "fired"),
  "cairn.rule.refused": ruleKind("a rule was to start a job, and the queue took none", "refused"),
  "cairn.job.cancelled": kind("a job was cancelled, and does not run any more", "cancelled"),
};
