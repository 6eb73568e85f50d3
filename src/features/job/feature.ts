// The manifest of jobs (docs/features.md 5): work that is queued durably, for agents that claim it.

import { openSleepClock } from "../../lib/sleep-clock.ts";
import { logFor } from "../../observe/logging.ts";
import type { Feature } from "../../operation/feature.ts";
import { LOG, NODE } from "../../operation/node-parts.ts";
import { ACTION } from "./action.ts";
import { CLAIMS, Claims } from "./claims.ts";
import { jobCommands } from "./commands.ts";
import { jobCancel, jobRedrive } from "./control.ts";
import { jobEvents } from "./events.ts";
import { jobHeartbeat } from "./heartbeat.ts";
import { endedJobs, jobDispatch, jobExpire, jobFire, jobNote } from "./internal.ts";
import { jobGet, jobList, jobOutput, jobWait } from "./read.ts";
import { jobRoutes } from "./rest.ts";
import { JOB_LEVEL } from "./rows.ts";
import schema from "./schema.sql" with { type: "text" };
import { jobStart } from "./start.ts";
import { jobProblem } from "./verify.ts";
import { jobClaim, jobFinish } from "./work.ts";

/** Jobs. A new history keeps them: what had a worker gets its whole time, and then another attempt. */
export const jobFeature: Feature = {
  name: "job",
  migrations: [{ id: 31, level: JOB_LEVEL, sql: schema }],
  tables: [
    { name: "jobs", scope: "replicated", fork: "keep", sql: "SELECT * FROM jobs ORDER BY id" },
    { name: "job_usage", scope: "replicated", fork: "keep", sql: "SELECT * FROM job_usage ORDER BY kind, name" },
    { name: "job_schedules", scope: "replicated", fork: "keep", sql: "SELECT * FROM job_schedules ORDER BY name" },
  ],
  declares: [ACTION],
  events: jobEvents,
  open: (node) => {
    const { reader } = node.get(NODE).store;
    node.provide(CLAIMS, new Claims({ reader, log: () => node.get(LOG), clock: openSleepClock(), say: logFor("job") }));
  },
  operations: (node) => [
    ...[jobStart(node), jobClaim, jobHeartbeat(node), jobFinish, jobCancel, jobRedrive],
    ...[jobGet(node), jobList, jobWait, jobOutput(node)],
    ...[jobDispatch, jobNote, jobExpire, jobFire, endedJobs.write],
  ],
  expires: [endedJobs],
  commands: jobCommands,
  rest: jobRoutes,
  duties: (node) => [(lead) => node.get(CLAIMS).lead(lead)],
  verify: jobProblem,
};
