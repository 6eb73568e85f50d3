// Services that run only while a number says so: bounds, runs of measurements, and what a leader makes of them.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { serviceShape } from "../../src/features/service/declared.ts";
import { Demands } from "../../src/features/service/demand.ts";
import { boundProblem, isBeyond, nextRun } from "../../src/operation/bound.ts";
import { eventually } from "../kit/eventually.ts";
import { startServices } from "../kit/services.ts";

test("a run is of measurements that are all beyond the bound", () => {
  expect([11, 10, 9].map((value) => isBeyond({ above: 10 }, value))).toEqual([true, false, false]);
  expect([11, 10, 9].map((value) => isBeyond({ below: 10 }, value))).toEqual([false, false, true]);
  const run = nextRun(true, undefined, 1000);
  expect(run).toEqual({ firstMs: 1000, lastMs: 1000 });
  expect(nextRun(true, run, 4000)).toEqual({ firstMs: 1000, lastMs: 4000 });
  // The same measurement once more.
  expect(nextRun(true, { firstMs: 1000, lastMs: 4000 }, 4000)).toEqual({ firstMs: 1000, lastMs: 4000 });
  expect(nextRun(false, run, 4000)).toBeUndefined();
  expect([{}, { above: 1, below: 1 }].map(boundProblem)).toEqual(Array(2).fill(expect.stringContaining("one of them")));
  expect(boundProblem({ above: 0 })).toBeUndefined();
});

const value = serviceShape.parse({
  argv: ["worker"],
  while: { probe: "queue", above: 10, for_seconds: 60, cool_down_seconds: 120 },
});

test("it is needed after its time beyond the bound, and until the cool-down is over within it", () => {
  const demands = new Demands();
  let runs = false;
  const at = (seconds: number, number: number | undefined) => {
    const found = number === undefined ? { why: "nobody measures it" } : { value: number, atMs: seconds * 1000 };
    demands.follow(
      [{ name: "worker", value }],
      () => ({ space: "fleet", ...found }),
      () => runs,
    );
    return demands.of("worker", value).isNeeded;
  };
  expect([at(0, 11), at(59, 11), at(60, 12)]).toEqual([false, false, true]);
  // A short time within the bound ends nothing, and what is not known neither.
  expect([at(70, 3), at(189, 3), at(200, 11), at(210, 3), at(329, 3)]).toEqual([true, true, true, true, true]);
  expect(at(331, undefined)).toBe(true);
  expect([at(340, 3), at(459, 3), at(460, 3)]).toEqual([true, true, false]);
  expect(demands.of("worker", value).why).toBe("queue is 3, not above 10");
  // Begins anew after a gap.
  expect([at(470, 11), at(500, undefined), at(530, 11), at(589, 11), at(590, 11)]).toEqual([
    ...[false, false, false, false, true],
  ]);
  // A new leader keeps what runs until it has seen the whole cool-down.
  runs = true;
  demands.clear();
  expect([at(600, 3), at(719, 3), at(720, 3)]).toEqual([true, true, false]);
  demands.clear();
  expect(demands.of("worker", value)).toEqual({ isNeeded: false, why: "its number was not looked at yet" });
  expect(demands.of("other", { ...value, while: undefined }).isNeeded).toBe(true);
});

test("a service starts while its number is high and ends after it, and is no service that is down", async () => {
  await using fleet = startServices({ a: ["web"], b: ["web"] });
  const measure = (number: number) => fleet.numbers.set("queue", { space: "fleet", value: number, atMs: Date.now() });
  measure(3);
  const log = join(fleet.folder, "log");
  await fleet.declareService("web", {
    argv: ["/bin/sh", "-c", `echo begin >> ${log}; exec sleep 600`],
    where: "any",
    while: { probe: "queue", above: 10, for_seconds: 0, cool_down_seconds: 10 },
  });
  await eventually("it says why it does not run", async () => {
    const { service, next } = await fleet.get("web");
    return service.state === "idle" && next[0] === "it is not needed: queue is 3, not above 10";
  });
  expect(await fleet.as("ray", "service_plan", { name: "web" })).toMatchObject({
    plan: [{ name: "web", now: "runs nowhere", steps: [] }],
  });
  expect(fleet.rows("web")).toEqual([]);
  measure(11);
  await fleet.ready("web", "a");
  // A new leader lets it run on.
  fleet.leadAnew();
  const keep = setInterval(() => measure(4), 100);
  try {
    await eventually("it has ended", () => fleet.rows("web").length === 0, { withinMs: 40_000 });
  } finally {
    clearInterval(keep);
  }
  expect(await fleet.lines("log")).toEqual(["begin"]);
  expect(fleet.outcomes("web")).toContain("stopped");
  expect(fleet.conditionText("service_down")).toBeUndefined();
  expect(await fleet.call("audit_verify", {})).toMatchObject({ ok: true });
}, 90_000);
