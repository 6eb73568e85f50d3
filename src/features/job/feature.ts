// The manifest of jobs (docs/features.md 5): work that is queued durably, for nodes that run it and agents that claim
// it.

import type { Feature } from "../../operation/feature.ts";
import { ACTION } from "./action.ts";
import { jobCommands } from "./commands.ts";
import { jobConditions } from "./conditions.ts";
import { jobCancel, jobRedrive } from "./control.ts";
import { jobEvents } from "./events.ts";
import { jobHeartbeat } from "./heartbeat.ts";
import { endedJobs, jobDispatch, jobExpire, jobFire, jobNote } from "./internal.ts";
import { jobWork } from "./offer.ts";
import { jobPage } from "./pages/job-page.tsx";
import { jobsPage } from "./pages/jobs-page.tsx";
import { rulePage } from "./pages/rule-page.tsx";
import { rulesPage } from "./pages/rules-page.tsx";
import { jobDuties, openJobs, WORKER } from "./parts.ts";
import { jobPeerPaths } from "./peer-paths.ts";
import { jobGet, jobList, jobOutput, jobWait } from "./read.ts";
import { jobRoutes } from "./rest.ts";
import { JOB_LEVEL } from "./rows.ts";
import { RULE } from "./rule.ts";
import { ruleCommands } from "./rule-commands.ts";
import { jobRuleFire } from "./rule-fire.ts";
import { ruleList, rulePlan, ruleRoutes } from "./rule-read.ts";
import { SCHEDULE } from "./schedules.ts";
import schema from "./schema.sql" with { type: "text" };
import { jobSettings } from "./settings.ts";
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
    { name: "job_rules", scope: "replicated", fork: "keep", sql: "SELECT * FROM job_rules ORDER BY name" },
    { name: "job_schedules", scope: "replicated", fork: "keep", sql: "SELECT * FROM job_schedules ORDER BY name" },
  ],
  declares: [ACTION, SCHEDULE, RULE],
  settings: jobSettings,
  conditions: jobConditions,
  events: jobEvents,
  open: openJobs,
  operations: (node) => [
    ...[jobStart(node), jobClaim, jobHeartbeat(node), jobFinish, jobCancel, jobRedrive],
    ...[jobGet(node), jobList, jobWait, jobOutput(node), jobWork(node)],
    ...[jobDispatch, jobNote, jobExpire, jobFire, jobRuleFire, endedJobs.write],
    ...[ruleList(node), rulePlan(node)],
  ],
  expires: [endedJobs],
  commands: [...jobCommands, ...ruleCommands],
  rest: [...jobRoutes, ...ruleRoutes],
  pages: [jobsPage, jobPage, rulesPage, rulePage],
  jobs: (node) => [node.get(WORKER)],
  duties: jobDuties,
  peerPaths: (node) => jobPeerPaths(node.get(WORKER)),
  verify: jobProblem,
};
