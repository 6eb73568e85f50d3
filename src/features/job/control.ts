// job_cancel and job_redrive: what people and agents decide about jobs.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { WRITE_ROW } from "../../lib/work.ts";
import { write } from "../../operation/define.ts";
import { cancel } from "./internal.ts";
import { reopen, requeue } from "./queue.ts";
import { JOB_LEVEL, type JobState, jobId, requireJob, shownJob, shownOf, spacesOfJob } from "./rows.ts";

/** Cancels a job. */
export const jobCancel = write({
  name: "job_cancel",
  v: 1,
  level: JOB_LEVEL,
  apart: true,
  title: "Cancel a job",
  search: "stop a task, abort, kill a running job",
  description:
    "Cancels a job. One in the queue ends at once; of one that runs the worker is asked to stop, and its state is cancelled when it has: job_wait waits for that. One that has ended stays as it is.",
  input: z.object({ id: jobId }),
  example: { id: "team-a/1-57" },
  output: shownJob,
  access: { verb: "write", spaces: spacesOfJob },
  hints: { destructive: true, idempotent: true },
  target: "id",
  work: () => 10 * WRITE_ROW,
  prepare: ({ id }) => ({ id }),
  apply(tx, { id }, stamp) {
    const change = cancel(tx, requireJob(tx, id), stamp);
    return { output: shownOf(requireJob(tx, id)), changes: change === undefined ? [] : [change] };
  },
});

const ENDED_BADLY: ReadonlySet<JobState> = new Set(["failed", "dead", "cancelled"]);

/** Queues an ended job again. */
export const jobRedrive = write({
  name: "job_redrive",
  v: 1,
  level: JOB_LEVEL,
  apart: true,
  title: "Redrive a job",
  search: "retry a failed job, dead letter, run again",
  description:
    "Queues a job again that is failed, dead or cancelled, with all its attempts and its checkpoint. job_list with a state shows such jobs.",
  input: z.object({ id: jobId }),
  example: { id: "team-a/1-57" },
  output: shownJob,
  access: { verb: "write", spaces: spacesOfJob },
  hints: { idempotent: false },
  target: "id",
  work: () => 10 * WRITE_ROW,
  prepare: ({ id }) => ({ id }),
  apply(tx, { id }, { seq, timeMs }) {
    const job = requireJob(tx, id);
    if (!ENDED_BADLY.has(job.state)) {
      throw new Fault(
        "invalid_input",
        `The job ${id} is ${job.state}: only failed, dead and cancelled ones are redriven`,
        {
          hint: job.state === "succeeded" ? "Start another job with job_start." : "Wait for its end with job_wait.",
          details: { field: "id" },
        },
      );
    }
    reopen(tx, job);
    const change = requeue(tx, job, { seq, timeMs, runAt: timeMs, attempt: 0, outcome: "redriven" });
    return { output: shownOf(requireJob(tx, id)), changes: [change] };
  },
});
