// Rules about jobs: each acknowledged start made one job, which has one end and no step after it; attempts begin once,
// by a claim, and never beside a later one; results and fenced writes are those of the claim; schedules fire once.

import type { Findings, JobRun, LedgerLine, LoggedStep, Run } from "./history.ts";

const ENDS: readonly string[] = ["succeeded", "failed", "dead", "cancelled"];
/** Which steps may follow, by where a job is: not there, in the queue, with a worker. */
const STEPS: Readonly<Record<"none" | "queued" | "active", readonly string[]>> = {
  none: ["queued", "scheduled"],
  queued: ["claimed", "cancelled"],
  active: ["started", "checkpoint", "cancelling", "retried", ...ENDS],
};
/** After them the claim before is over. */
const ENDS_CLAIM: readonly string[] = ["retried", ...ENDS];

/** Judges what clients, agents, programs and the log saw of jobs. */
export function judgeJobs({ jobs: run }: Run, findings: Findings): void {
  if (run === undefined) return;
  judgeStarts(run, findings);
  const stepsOf = Map.groupBy(run.steps, ({ id }) => id);
  for (const { id, state } of run.jobs) judgeSteps(id, state, stepsOf.get(id) ?? [], findings);
  judgeKeys(run, findings);
  for (const [id, lines] of Map.groupBy(run.ledger, (line) => line.id))
    judgeLedger(id, lines, stepsOf.get(id) ?? [], findings);
  judgeResults(run, stepsOf, findings);
  for (const { id, fence, seq } of run.fenced) {
    const isOver = (stepsOf.get(id) ?? []).some(
      (step) => (step.outcome === "claimed" || ENDS_CLAIM.includes(step.outcome)) && isBetween(fence, step.seq, seq),
    );
    if (isOver) findings.add("job-fenced", `a write at ${seq} with ${fence}, whose claim was over`);
  }
  judgeSchedules(run, findings);
}

/** Returns how much was looked at. */
export function countOfJobs({ started, jobs, ledger, steps, fenced, firings }: JobRun): string {
  const claims = steps.filter(({ outcome }) => outcome === "claimed").length;
  const ends = ENDS.map((end) => `${jobs.filter(({ state }) => state === end).length} ${end}`).join(", ");
  return [
    `${started.length} starts, ${jobs.length} jobs (${ends}), ${claims} claims`,
    `${ledger.length} lines, ${fenced.length} fenced, ${firings.length} firings`,
  ].join(", ");
}

function judgeStarts({ started, jobs }: JobRun, findings: Findings): void {
  const there = new Map(jobs.map((job) => [job.id, job]));
  for (const { n, id } of started)
    if (there.get(id)?.n !== n) findings.add("job-lost", `start ${n} was taken as ${id}, which is not there`);
  const byNumber = Map.groupBy(
    jobs.filter((job) => job.n !== undefined),
    (job) => job.n,
  );
  for (const [n, its] of byNumber)
    if (its.length > 1) findings.add("job-doubled", `start ${n} made ${its.map(({ id }) => id).join(" and ")}`);
}

function judgeSteps(id: string, state: string, steps: readonly LoggedStep[], findings: Findings): void {
  let at: keyof typeof STEPS | "ended" = "none";
  for (const { seq, outcome } of steps) {
    if (at === "ended" || !STEPS[at].includes(outcome)) {
      findings.add("job-step", `${id} was ${outcome} at ${seq}, and it was ${at}`);
      return;
    }
    if (at === "none" || outcome === "retried") at = "queued";
    else if (ENDS.includes(outcome)) at = "ended";
    else at = "active";
  }
  if (at !== "ended") findings.add("job-unended", `${id} is ${state}, and has no end`);
  else if (steps.at(-1)?.outcome !== state)
    findings.add("job-step", `${id} is ${state}, and its last step is ${steps.at(-1)?.outcome}`);
}

/** Of the jobs with one key one at a time has a worker. */
function judgeKeys({ jobs, steps }: JobRun, findings: Findings): void {
  const keyOf = new Map(jobs.map(({ id, key }) => [id, key]));
  const busy = new Map<string, string>();
  for (const { id, outcome, seq } of steps) {
    const key = keyOf.get(id) ?? "";
    if (key === "") continue;
    const other = busy.get(key);
    if (outcome === "claimed" && other !== undefined)
      findings.add("job-key", `${id} was claimed at ${seq} while ${other} has the key ${key}`);
    if (outcome === "claimed") busy.set(key, id);
    else if (ENDS_CLAIM.includes(outcome) && other === id) busy.delete(key);
  }
}

/** The order of lines is that of the writes: they are appended. */
function judgeLedger(id: string, lines: readonly LedgerLine[], steps: readonly LoggedStep[], findings: Findings): void {
  const claims = new Set(steps.filter(({ outcome }) => outcome === "claimed").map(({ seq }) => seq));
  const begun = new Set<string>();
  let isCancelled = false;
  let newest = 0;
  for (const { what, fence } of lines) {
    if (what === "cancelled") {
      isCancelled = true;
      continue;
    }
    const seq = seqOf(fence);
    if (isCancelled) findings.add("job-after-cancel", `${fence} wrote ${what} after ${id} was known to be cancelled`);
    if (!claims.has(seq)) findings.add("job-unclaimed", `${fence} wrote ${what}, and no claim has that number`);
    if (seq < newest) findings.add("job-overlap", `${fence} wrote ${what} after the attempt of ${newest} had begun`);
    if (what === "begin" && begun.has(fence)) findings.add("job-begun-twice", `${fence} began twice`);
    if (what === "begin") begun.add(fence);
    newest = Math.max(newest, seq);
  }
}

function judgeResults(run: JobRun, stepsOf: ReadonlyMap<string, readonly LoggedStep[]>, findings: Findings): void {
  const done = Map.groupBy(
    run.ledger.filter(({ what }) => what === "done"),
    ({ fence }) => fence,
  );
  for (const [fence, lines] of done)
    if (lines.length > 1) findings.add("job-done-twice", `${fence} was done ${lines.length} times`);
  const stateOf = new Map(run.jobs.map((job) => [job.id, job]));
  for (const { id, state, result } of run.jobs) {
    if (state !== "succeeded") continue;
    const claim = (stepsOf.get(id) ?? []).findLast(({ outcome }) => outcome === "claimed")?.seq;
    if (claim === undefined || seqOf(result) !== claim || !done.has(result))
      findings.add("job-result", `${id} has the result ${JSON.stringify(result)}, and its last claim is ${claim}`);
  }
  for (const { id, fence, state } of run.finished) {
    const next = (stepsOf.get(id) ?? []).find(
      ({ seq, outcome }) => seq > seqOf(fence) && (outcome === "claimed" || ENDS_CLAIM.includes(outcome)),
    );
    const wanted = state === "queued" ? "retried" : state;
    if (next?.outcome !== wanted)
      findings.add(
        "job-result-lost",
        `${fence} was finished as ${wanted}, and the log has ${next?.outcome ?? "no end"}`,
      );
    else if (state === "succeeded" && stateOf.get(id)?.result !== fence)
      findings.add("job-result-lost", `${fence} was finished, and the result is ${stateOf.get(id)?.result}`);
  }
}

function judgeSchedules({ firings, due, jobs }: JobRun, findings: Findings): void {
  for (const [name, wanted] of due) {
    const its = firings.filter((firing) => firing.name === name);
    const times = its.map(({ dueMs }) => dueMs);
    for (const { seq, dueMs, outcome } of its) {
      if (dueMs === undefined) findings.add("schedule-undue", `${name} was ${outcome} at ${seq} for no due time`);
      else if (times.filter((each) => each === dueMs).length > 1)
        findings.add("schedule-doubled", `${name} was ${outcome} at ${seq} again for ${timeOf(dueMs)}`);
    }
    for (const dueMs of wanted)
      if (!times.includes(dueMs)) findings.add("schedule-missed", `${name} was not fired for ${timeOf(dueMs)}`);
    const fired = its.filter(({ outcome }) => outcome === "fired").length;
    const made = jobs.filter(({ schedule }) => schedule === name).length;
    if (made !== fired) findings.add("schedule-jobs", `${name} was fired ${fired} times, and has ${made} jobs`);
  }
}

/** Returns the seq of the claim that a fence names; 0 where it is none. */
function seqOf(fence: string): number {
  return Number(/@\d+-(\d+)$/.exec(fence)?.[1] ?? 0);
}

function isBetween(fence: string, seq: number, last: number): boolean {
  return seq > seqOf(fence) && seq < last;
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
