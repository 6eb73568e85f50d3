// A service for notifications that is down for an hour: people are told within minutes of its return, once, in words,
// and of an end only where its beginning was told. With a real HTTP service, and a clock that the test moves.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { appendRows } from "../../src/features/event/append.ts";
import { eventFeature, subscriptionFeature } from "../../src/features/event/index.ts";
import { OWN_CALLER, OWN_SOURCE } from "../../src/features/event/own.ts";
import { type EventRow, eventHead } from "../../src/features/event/rows.ts";
import { CALLBACK_KEYS, CallbackKeys } from "../../src/features/event/subscription/callback-keys.ts";
import { openOutbox } from "../../src/features/event/subscription/open-outbox.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import type { Outbound } from "../../src/operation/node-parts.ts";
import { Services } from "../../src/operation/services.ts";
import { localAdmin, startCore } from "../kit/core.ts";
import { sender } from "../kit/events.ts";
import { DEFAULT_WRITE_LIMITS } from "../kit/limits.ts";
import { Clock } from "../kit/outbox-world.ts";
import { providePlayed } from "../kit/played-parts.ts";
import { randomFrom } from "../kit/random-from.ts";

const START = Date.parse("2026-12-01T00:00:00Z");
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** The longest wait between two attempts, with its random share, and a look of the queue. */
const CAP = 5.5 * MINUTE + 11_000;

let scene: Awaited<ReturnType<typeof play>>;
beforeEach(async () => {
  scene = await play();
});
afterEach(() => scene[Symbol.asyncDispose]());

/** A fleet that tells people by a service at a real port, which is up or down as the test says. */
async function play() {
  const clock = new Clock();
  clock.now = START;
  const draw = randomFrom(7);
  const sink = {
    isUp: true,
    retryAfter: "1",
    tries: [] as number[],
    told: [] as { atMs: number; title: string; message: string }[],
  };
  const service = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      sink.tries.push(clock.now);
      const { title, message } = (await request.json()) as { title: string; message: string };
      if (!sink.isUp) return new Response("down", { status: 503, headers: { "retry-after": sink.retryAfter } });
      sink.told.push({ atMs: clock.now, title, message });
      return new Response("{}");
    },
  });
  const outbound: Outbound = async (url, { method, headers, body, signal }) => {
    clock.busy += 1;
    try {
      return await fetch(url, { method: method ?? "POST", headers: { ...headers }, body: body ?? null, signal });
    } finally {
      // Its body is read by then.
      setTimeout(() => (clock.busy -= 1), 20);
    }
  };
  const node = new Services();
  const features = [eventFeature, subscriptionFeature];
  const nowMs = () => clock.now;
  const core = startCore({ features, nowMs, operations: operationsOf(features, node) });
  const env = { CAIRN_SECRET_TOPIC: "alerts" };
  const { tailnet, conditions } = providePlayed(node, core, {
    ...{ limits: () => DEFAULT_WRITE_LIMITS, nowMs, outbound, env },
  });
  node.provide(CALLBACK_KEYS, new CallbackKeys(nowMs));
  const ann = sender("ann", { role: "member", spaces: ["ops"] });
  tailnet.set("user:ann@x", ann);
  const outbox = openOutbox(node, { pause: clock.pause, random: () => draw(1000) / 1000 });
  const ends = new AbortController();
  const running = outbox.run(ends.signal);
  const declare = (more: object = {}) => {
    const target = { kind: "notify", service: "ntfy", url: service.url.origin, topic: "secret:TOPIC", ...more };
    return core.call("event_target_set", { name: "phone", target, spaces: ["ops"] }, localAdmin);
  };
  return {
    ...{ sink, conditions, core, declare },
    /** Declares the target, and subscribes to it. */
    async subscribe(more: object = {}) {
      await declare(more);
      await core.call("subscription_create", { id: "ops/phone", target: "phone" }, ann);
    },
    /** Goes on to a time after the start, in ms. */
    go: (ms: number) => clock.runUntil(() => clock.now >= START + ms, START + ms),
    /** Appends what Cairn says itself. */
    async says(...what: readonly [type: string, name: string][]) {
      core.store.transaction((tx) => {
        const head = eventHead(tx);
        const rows = what.map(([type, name], at): EventRow => {
          const offset = head.tail + 1 + at;
          return {
            ...{ offset, space: "ops", caller: OWN_CALLER, agent: "", node: "", source: OWN_SOURCE, id: `o${offset}` },
            ...{ type, subject: `ops/probes/${name}`, time: "", log_time: clock.now, content_type: "" },
            ...{ attributes: "", size: 100, kind: "json" as const, data: '{"position":"ab12-9999"}' },
          };
        });
        appendRows(tx, head, rows, { seq: -head.tail, timeMs: clock.now });
      });
      // News for the queue.
      await core.call("event_publish", { space: "other", type: "t" }, sender("bob"));
    },
    async [Symbol.asyncDispose]() {
      ends.abort(new Error("the end"));
      await running;
      await service.stop(true);
      await core[Symbol.asyncDispose]();
    },
  };
}

test("a service that was down for an hour is told within minutes of its return, and once", async () => {
  const { sink, conditions, says, go } = scene;
  await scene.subscribe();
  await says(["cairn.probe.down", "before"]);
  await go(5 * MINUTE);
  sink.isUp = false;
  await says(["cairn.probe.down", "web"], ["cairn.probe.up", "other"]);
  expect(conditions.has("subscription_failing")).toBe(false);
  await go(8 * MINUTE);
  expect(conditions.has("subscription_failing")).toBe(true);
  await go(20 * MINUTE);
  await says(["cairn.probe.up", "before"], ["cairn.probe.up", "other"]);
  await go(40 * MINUTE);
  await says(["cairn.probe.up", "web"], ["cairn.probe.down", "mail"]);
  await go(65 * MINUTE);
  expect(conditions.has("subscription_failing")).toBe(true);
  const before = sink.tries.length;
  sink.isUp = true;
  await go(65 * MINUTE + CAP);
  expect(conditions.has("subscription_failing")).toBe(false);
  await go(100 * MINUTE);
  expect(sink.told.map(({ title }) => title)).toEqual(["probe before: down", "probe web: down", "3 events"]);
  expect(sink.told[1]?.message).toBe("ops/probes/web, 2026-12-01 00:05 UTC");
  expect(sink.told[2]?.message.split("\n").map((line) => line.split(":").slice(0, 2).join(":"))).toEqual([
    ...["probe before: up", "probe web: up", "probe mail: down"],
  ]);
  expect((sink.told[1]?.atMs ?? 0) - START).toBeLessThanOrEqual(65 * MINUTE + CAP);
  expect((sink.told[2]?.atMs ?? 0) - START).toBeLessThanOrEqual(65 * MINUTE + CAP + 31_000);
  // It was asked each five minutes or so all the while.
  expect(before).toBeGreaterThanOrEqual(12);
  expect(before).toBeLessThanOrEqual(30);
});

test("a reminder that finds it down is tried again, until what it says is over", async () => {
  const { sink, conditions, says, go } = scene;
  await scene.subscribe({ remind_seconds: 1200, remind_times: 2 });
  await says(["cairn.probe.down", "web"]);
  await go(15 * MINUTE);
  sink.isUp = false;
  sink.retryAfter = "3600";
  await go(32 * MINUTE);
  expect(conditions.has("subscription_failing")).toBe(true);
  sink.isUp = true;
  await go(32 * MINUTE + CAP);
  expect(conditions.has("subscription_failing")).toBe(false);
  expect(sink.told.map(({ title }) => title)).toEqual(["probe web: down", "Still: probe web: down"]);
  await go(39 * MINUTE);
  expect(sink.told).toHaveLength(2);
  await go(41 * MINUTE);
  expect(sink.told.at(-1)?.message).toContain("This is not told again.");
  await go(70 * MINUTE);
  expect(sink.told).toHaveLength(3);
});

test("an attempt that was put off by another policy is made by this one", async () => {
  const { sink, says, go, core } = scene;
  await scene.subscribe();
  sink.isUp = false;
  await says(["cairn.probe.down", "web"]);
  await go(10 * MINUTE);
  core.store.transaction((tx) => {
    tx.run("UPDATE subscription_failing SET next_at = ?", START + 24 * HOUR);
  });
  // It is declared once more, so its queue begins again.
  await scene.declare();
  sink.isUp = true;
  await go(20 * MINUTE);
  expect(sink.told.map(({ title }) => title)).toEqual(["probe web: down"]);
});
