// The HTTP routes of jobs, as rows for the router of api/. Rules and rights are those of the operations.

import { DEFAULT_WAIT_SECONDS } from "../../operation/define.ts";
import type { PathParameter, RestRoute } from "../../operation/rest-route.ts";
import { MAX_INPUT } from "./start.ts";

const tag = "jobs";
const id: PathParameter = { kind: "wide", maxLength: 128, description: "Id of the job; / plain or encoded" };
const response = { kind: "json" } as const;
const text = (description: string) => ({ kind: "text", description }) as const;

/** The routes. */
export const jobRoutes: readonly RestRoute[] = [
  {
    method: "GET",
    path: "/jobs",
    operationId: "listJobs",
    summary: "List jobs",
    tag,
    operation: "job_list",
    query: {
      space: text("Only those of this space"),
      action: text("Only those of this action"),
      state: text("Only those in this state"),
      limit: { kind: "count", description: "At most this many" },
      cursor: text("The cursor of the previous page"),
    },
    response,
  },
  {
    method: "POST",
    path: "/jobs",
    operationId: "startJob",
    summary: "Start a job",
    tag,
    operation: "job_start",
    body: {
      kind: "json",
      members: [...["action", "space", "input", "priority", "concurrency_key", "attempts", "run_at", "delay_seconds"]],
      refusal: "The body must be a JSON object with action, and members of job_start",
      maxBytes: 4 * MAX_INPUT,
    },
    response,
    errors: [507],
  },
  {
    method: "GET",
    path: "/jobs/{id}",
    params: { id },
    operationId: "getJob",
    summary: "Look at a job",
    tag,
    operation: "job_get",
    response,
  },
  {
    method: "GET",
    path: "/jobs/{id}/end",
    params: { id },
    operationId: "waitForJob",
    summary: "Wait for the end of a job",
    tag,
    operation: "job_wait",
    query: {
      since: text("A position: the state is read at least at that one"),
      timeout: {
        kind: "count",
        argument: "timeout_seconds",
        description: `Seconds (default ${DEFAULT_WAIT_SECONDS})`,
        minimum: 0,
        maximum: 300,
      },
    },
    response,
  },
  {
    method: "GET",
    path: "/jobs/{id}/output",
    params: { id },
    operationId: "getJobOutput",
    summary: "The end of what a job's program wrote",
    tag,
    operation: "job_output",
    response,
  },
  {
    method: "DELETE",
    path: "/jobs/{id}",
    params: { id },
    operationId: "cancelJob",
    summary: "Cancel a job",
    tag,
    operation: "job_cancel",
    response,
  },
  {
    method: "POST",
    path: "/jobs/{id}/redrive",
    params: { id },
    operationId: "redriveJob",
    summary: "Queue an ended job again",
    tag,
    operation: "job_redrive",
    response,
    errors: [507],
  },
];
