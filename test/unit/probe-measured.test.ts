// The number that a probe measures, as the leader gives it to rules: fresh, of one member, and known.

import { expect, test } from "bun:test";
import { startProbes } from "../kit/probes.ts";

const QUEUE = { value: "/queue", interval: 60, timeout: 1 };

test("the leader has the number of its own probe while it is fresh", async () => {
  await using node = startProbes();
  const { clock, behaviour, look } = node;
  const measured = () => node.member("a").watch.measured("queue");
  expect(measured()).toEqual({ space: "fleet", why: "there is no probe queue" });
  await node.declareProbe("queue", { interval: 60, space: "ops" });
  expect(measured()).toEqual({ space: "ops", why: "the probe queue measures no number: it declares no value" });
  await node.declareProbe("queue", { ...QUEUE, space: "ops" });
  const NONE = { space: "ops", why: "the probe queue has no number that is fresh" };
  behaviour.body = '{"queue": 17}';
  await node.pass(60);
  const { atMs } = measured() as { atMs: number };
  expect(measured()).toEqual({ space: "ops", value: 17, atMs });
  expect(clock.nowMs - atMs).toBeLessThanOrEqual(60_000);
  // A service that fails and says its number has one.
  behaviour.status = 503;
  behaviour.body = '{"queue": 18}';
  await node.pass(60);
  expect(measured()).toMatchObject({ value: 18 });
  behaviour.body = '{"queue": "many"}';
  await node.pass(60);
  expect(measured()).toEqual(NONE);
  Object.assign(behaviour, { status: 200, body: '{"queue": 19}' });
  await node.pass(60);
  expect(measured()).toMatchObject({ value: 19 });
  // No look, so no check: the next one was due in at most 60 s, had 1 s, and 10 s more.
  clock.nowMs += 71_001;
  expect(measured()).toEqual(NONE);
  await look();
  expect(measured()).toMatchObject({ value: 19, atMs: clock.nowMs });
  await node.call("probe_pause", { name: "queue", space: "ops" });
  expect(measured()).toEqual({ space: "ops", why: "the probe queue is paused" });
  await node.call("probe_resume", { name: "queue", space: "ops" });
  // Declared anew it is another measurement.
  await node.declareProbe("queue", { ...QUEUE, value: "/other", space: "ops" });
  await node.member("a").runner.look();
  expect(measured()).toEqual(NONE);
});

test("a number of one member counts while that answers; one of many members is none", async () => {
  await using node = startProbes(["a", "b"]);
  node.behaviour.body = '{"queue": 5}';
  await node.declareProbe("queue", { ...QUEUE, interval: 10, where: "member:b" });
  await node.declareProbe("all", { ...QUEUE, where: "all" });
  await node.pass(30);
  const { watch } = node.member("a");
  const found = watch.measured("queue") as { atMs: number; value: number };
  expect(found.value).toBe(5);
  expect(node.clock.nowMs - found.atMs).toBeLessThanOrEqual(25_000);
  expect(watch.measured("all")).toEqual({ space: "fleet", why: "the probe all has a number on each of many members" });
  node.member("b").isSilent = true;
  await node.pass(50);
  expect(watch.measured("queue")).toEqual({ space: "fleet", why: "the probe queue has no number that is fresh" });
});

test("what the member cannot tell is no number", async () => {
  await using node = startProbes();
  node.behaviour.body = '{"queue": 5}';
  await node.declareProbe("queue", QUEUE);
  await node.pass(60);
  expect(node.member("a").watch.measured("queue")).toMatchObject({ value: 5 });
  Object.assign(node.member("a").around, { control: false, out: false });
  await node.pass(180);
  expect(node.member("a").watch.measured("queue")).toMatchObject({
    why: "the probe queue has no number that is fresh",
  });
});
