// What other folders may use of child processes.

export type { ProcessLimits } from "./cgroup.ts";
export { type ReadSecret, secretsOf, specOf } from "./declared-program.ts";
export { runGuard } from "./guard-process.ts";
export { GUARD_WORD, GuardedProcess, type GuardOptions, leaseFromNow } from "./guarded.ts";
export { environmentFor, type ProcessBounds, type ProcessSpec } from "./launch.ts";
export { OutputKeeper, OutputRing, type OutputSink, shownTail } from "./output.ts";
export { type EndCause, type FinishedProcess, type ProcessEnd, type RunOptions, runProcess } from "./run.ts";
