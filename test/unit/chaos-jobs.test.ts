// The rules about jobs find what they are for: each planted fault, and nothing in a run that is right.

import { expect, test } from "bun:test";
import { Findings, type JobRun } from "../chaos/history.ts";
import { countOfJobs, judgeJobs } from "../chaos/job-rules.ts";

const step = (seq: number, id: string, outcome: string) => ({ seq, id, outcome });
const line = (what: JobRun["ledger"][number]["what"], fence: string, id = fence.split("@")[0] ?? "") => ({
  ...{ what, id, fence: what === "cancelled" ? "" : fence },
});
const job = (id: string, state: string, more: Partial<JobRun["jobs"][number]> = {}) => ({
  ...{ id, n: Number(id.slice(1)), state, key: "", schedule: "", result: "", ...more },
});

/** j1 is lost once and succeeds, j2 is cancelled, an agent does j3, a schedule starts j9. */
const RIGHT: JobRun = {
  started: [1, 2, 3].map((n) => ({ n, id: `j${n}` })),
  finished: [{ id: "j3", fence: "j3@1-13", state: "succeeded" }],
  fenced: [{ id: "j3", fence: "j3@1-13", seq: 14 }],
  ledger: [
    ...[line("begin", "j1@1-2"), line("tick", "j1@1-2"), line("begin", "j2@1-9"), line("end", "j2@1-9")],
    ...[line("cancelled", "j2"), line("begin", "j1@1-5"), line("done", "j1@1-5")],
    ...[line("begin", "j3@1-13"), line("done", "j3@1-13"), line("begin", "j9@1-22"), line("done", "j9@1-22")],
  ],
  jobs: [
    ...[job("j1", "succeeded", { result: "j1@1-5", key: "k" }), job("j2", "cancelled")],
    ...[job("j3", "succeeded", { result: "j3@1-13", key: "k" })],
    job("j9", "succeeded", { result: "j9@1-22", n: undefined, schedule: "one" }),
  ],
  steps: [
    ...[step(1, "j1", "queued"), step(2, "j1", "claimed"), step(3, "j1", "started"), step(4, "j1", "retried")],
    ...[step(5, "j1", "claimed"), step(6, "j1", "checkpoint"), step(7, "j1", "succeeded")],
    ...[step(8, "j2", "queued"), step(9, "j2", "claimed"), step(10, "j2", "cancelling"), step(11, "j2", "cancelled")],
    ...[step(12, "j3", "queued"), step(13, "j3", "claimed"), step(15, "j3", "succeeded")],
    ...[step(21, "j9", "scheduled"), step(22, "j9", "claimed"), step(23, "j9", "succeeded")],
  ],
  firings: [{ name: "one", seq: 20, outcome: "fired", dueMs: 60_000 }],
  due: new Map([["one", [60_000]]]),
};

function rulesOf(more: Partial<JobRun> = {}): string[] {
  const findings = new Findings();
  judgeJobs({ rows: [], feeds: [], ends: [], epochs: [], jobs: { ...RIGHT, ...more } }, findings);
  return [...new Set(findings.list.map(({ rule }) => rule))];
}

const withJob = (id: string, more: Partial<JobRun["jobs"][number]>) => ({
  jobs: RIGHT.jobs.map((each) => (each.id === id ? { ...each, ...more } : each)),
});
const without = (seq: number) => ({ steps: RIGHT.steps.filter((each) => each.seq !== seq) });
const withStep = (seq: number, id: string, outcome: string) => ({
  steps: [...RIGHT.steps, step(seq, id, outcome)].toSorted((one, other) => one.seq - other.seq),
});
const withLine = (at: number, ...lines: JobRun["ledger"]) => ({ ledger: RIGHT.ledger.toSpliced(at, 0, ...lines) });

test("a run without a fault is right, and is counted", () => {
  expect(rulesOf()).toEqual([]);
  expect(countOfJobs(RIGHT)).toContain("3 starts, 4 jobs (3 succeeded, 0 failed, 0 dead, 1 cancelled), 5 claims");
});

test.each([
  ["an acknowledged start that is not there", { started: [...RIGHT.started, { n: 4, id: "j4" }] }, ["job-lost"]],
  ["an acknowledged start that is another job", withJob("j1", { n: 7 }), ["job-lost"]],
  ["a start that made two jobs", withJob("j9", { n: 2, schedule: "" }), ["job-doubled", "schedule-jobs"]],
  ["a step after the end", withStep(16, "j3", "claimed"), ["job-step", "job-result"]],
  ["a second end", withStep(24, "j2", "failed"), ["job-step"]],
  ["a claim of a job that has a worker", withStep(5.5, "j1", "claimed"), ["job-step", "job-result", "job-key"]],
  ["no end", without(11), ["job-unended"]],
  ["a state that no step made", withJob("j2", { state: "dead" }), ["job-step"]],
  ["two jobs with one key at one time", withStep(2.5, "j3", "claimed"), ["job-step", "job-key"]],
  ["a line after the next attempt began", withLine(6, line("tick", "j1@1-2")), ["job-overlap"]],
  ["a line after the job was known to be cancelled", withLine(5, line("tick", "j2@1-9")), ["job-after-cancel"]],
  ["a line of no claim", withLine(7, line("tick", "j1@1-6")), ["job-unclaimed"]],
  ["an attempt that began twice", withLine(6, line("begin", "j1@1-5")), ["job-begun-twice"]],
  ["an attempt that was done twice", withLine(7, line("done", "j1@1-5")), ["job-done-twice"]],
  ["a result of an earlier attempt", withJob("j1", { result: "j1@1-2" }), ["job-result"]],
  ["a result without work", { ledger: RIGHT.ledger.toSpliced(6, 1) }, ["job-result"]],
  [
    "an end of an agent that was acknowledged and is another",
    { finished: [{ id: "j3", fence: "j3@1-13", state: "queued" }] },
    ["job-result-lost"],
  ],
  [
    "an end of an agent whose claim was over",
    { finished: [{ id: "j1", fence: "j1@1-2", state: "succeeded" }] },
    ["job-result-lost"],
  ],
  [
    "a result that another took the place of",
    { finished: [{ id: "j1", fence: "j1@1-4", state: "succeeded" }] },
    ["job-result-lost"],
  ],
  ["a fenced write after the end", { fenced: [{ id: "j3", fence: "j3@1-13", seq: 16 }] }, ["job-fenced"]],
  ["a fenced write after the next claim", { fenced: [{ id: "j1", fence: "j1@1-2", seq: 6 }] }, ["job-fenced"]],
  ["a due time that was left out", { due: new Map([["one", [60_000, 120_000]]]) }, ["schedule-missed"]],
  [
    "a due time that was fired twice",
    { firings: [...RIGHT.firings, { name: "one", seq: 30, outcome: "fired", dueMs: 60_000 }] },
    ["schedule-doubled", "schedule-jobs"],
  ],
  [
    "a firing for no due time",
    { firings: [...RIGHT.firings, { name: "one", seq: 30, outcome: "passed", dueMs: undefined }] },
    ["schedule-undue"],
  ],
  ["a firing without a job", withJob("j9", { schedule: "two" }), ["schedule-jobs"]],
] as [string, Partial<JobRun>, string[]][])("%s is found", (_, more, rules) => {
  expect(rulesOf(more).toSorted()).toEqual(rules.toSorted());
});
