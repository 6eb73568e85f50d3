// Schedules: each instant starts one job, whoever leads; missed ones; changes of the clock by the zone.

import { expect, test } from "bun:test";
import { ACTION } from "../../src/features/job/action.ts";
import { jobConditions } from "../../src/features/job/conditions.ts";
import { dueInstant, nextInstant, SCHEDULE, Schedules } from "../../src/features/job/schedules.ts";
import { type Shown, startJobs } from "../kit/jobs.ts";

/** Returns all instants between two times, as a leader that looks each 10 minutes finds them. */
function instants(pattern: string, timezone: string, from: string, until: string): string[] {
  const found: string[] = [];
  let lastMs = Date.parse(from);
  for (let nowMs = lastMs; nowMs <= Date.parse(until); nowMs += 600_000) {
    const at = dueInstant({ pattern, timezone }, lastMs, nowMs);
    if (at === undefined) continue;
    found.push(new Date(at).toISOString().slice(0, 16));
    lastMs = at;
  }
  return found;
}

const SPRING = ["2027-03-28T00:00:00Z", "2027-03-28T06:00:00Z"] as const;
const AUTUMN = ["2027-10-31T00:00:00Z", "2027-10-31T06:00:00Z"] as const;

// In Berlin 2:00 becomes 3:00 on the last Sunday of March, and 3:00 becomes 2:00 on that of October, both at 1:00 UTC.
test.each([
  ["30 2 * * *", "Europe/Berlin", SPRING, ["2027-03-28T01:00"]],
  ["0 2 * * *", "Europe/Berlin", SPRING, ["2027-03-28T01:00"]],
  ["30 2 * * *", "Europe/Berlin", AUTUMN, ["2027-10-31T00:30"]],
  [
    "0 * * * *",
    "Europe/Berlin",
    SPRING,
    ["01:00", "02:00", "03:00", "04:00", "05:00", "06:00"].map((at) => `2027-03-28T${at}`),
  ],
  [
    "0 * * * *",
    "Europe/Berlin",
    AUTUMN,
    ["01:00", "02:00", "03:00", "04:00", "05:00", "06:00"].map((at) => `2027-10-31T${at}`),
  ],
  ["15 2 * * *", "Australia/Lord_Howe", ["2027-10-02T12:00:00Z", "2027-10-02T18:00:00Z"], ["2027-10-02T15:30"]],
  ["30 2 * * *", "UTC", SPRING, ["2027-03-28T02:30"]],
] as const)("%s in %s", (pattern, timezone, [from, until], wanted) => {
  expect(instants(pattern, timezone, from, until)).toEqual([...wanted]);
});

test("the last missed instant is found without walking through all of them", () => {
  const each = { pattern: "* * * * *", timezone: "UTC" };
  const nowMs = Date.parse("2027-06-15T12:00:30Z");
  expect(dueInstant(each, nowMs - 30 * 86_400_000, nowMs)).toBe(Date.parse("2027-06-15T12:00:00Z"));
  const rare = { pattern: "0 0 1 1 *", timezone: "UTC" };
  expect(dueInstant(rare, nowMs - 30 * 86_400_000, nowMs)).toBeUndefined();
  expect(nextInstant(rare, nowMs)).toBe(Date.parse("2028-01-01T00:00:00Z"));
});

test.each([
  [{ pattern: "61 * * * *", action: "a" }, "pattern"],
  [{ pattern: "0 0 30 2 *", action: "a" }, "never due"],
  [{ pattern: "0 0 * * *", action: "a", timezone: "Mars/Olympus" }, "Mars/Olympus"],
])("a wrong schedule is refused: %j", (declared, text) => {
  const parsed = SCHEDULE.schema.parse(declared);
  expect(SCHEDULE.problem?.(parsed, "s")).toContain(text);
});

test("an instant starts one job, whoever leads; missed ones as the schedule says; what cannot start is said", async () => {
  await using node = startJobs({ kinds: [ACTION, SCHEDULE] });
  const leader = () =>
    new Schedules({
      ...{ reader: node.store.reader, log: () => node.log, declarations: node.declarations, say: () => {} },
      conditions: node.conditions.of(jobConditions),
    });
  const started = async () => {
    const { jobs } = (await node.as("ray", "job_list", { limit: 100 })) as { jobs: Shown[] };
    return jobs.map(({ schedule = "" }) => schedule).sort();
  };
  await node.declareAction("nightly", { parameters: { disk: { type: "string" } } });
  const hourly = { pattern: "0 * * * *", action: "nightly", input: { disk: "sda" } };
  await node.declareAction("skips", { ...hourly, catch_up: "skip" }, SCHEDULE);
  await node.declareAction("once", { ...hourly, catch_up: "once" }, SCHEDULE);
  await node.declareAction("paused", { ...hourly, paused: true }, SCHEDULE);
  await node.declareAction("wrong", { ...hourly, input: {} }, SCHEDULE);
  const [one, other] = [leader(), leader()];
  await one.look();
  expect(await started()).toEqual([]);
  expect(node.conditionText("schedule_failing")).toContain("wrong: The input of nightly is wrong: disk is missing");
  await node.pass(3600);
  // Two that both believe that they lead.
  await Promise.all([one.look(), other.look()]);
  await one.look();
  await leader().look();
  expect(await started()).toEqual(["once", "skips"]);
  // Nobody led for five hours and a half: of the missed ones at most one job.
  await node.pass(5.5 * 3600);
  await leader().look();
  expect(await started()).toEqual(["once", "once", "skips"]);
  await node.pass(1800);
  await leader().look();
  expect(await started()).toEqual(["once", "once", "once", "skips", "skips"]);
  await node.call("context_delete", { id: "fleet/schedules/wrong" });
  await node.call("context_delete", { id: "fleet/schedules/skips" });
  for (let turn = 0; node.declarations.list(SCHEDULE).length > 2 && turn < 1000; turn += 1)
    await new Promise((resolve) => setTimeout(resolve, 5));
  await one.look();
  expect(node.conditionText("schedule_failing")).toBeUndefined();
  expect(node.store.reader.all("SELECT name FROM job_schedules ORDER BY name")).toEqual([
    { name: "once" },
    { name: "paused" },
  ]);
  expect(await node.call("audit_verify", {})).toMatchObject({ ok: true });
});
