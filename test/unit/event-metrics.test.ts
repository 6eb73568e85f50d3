// Metrics of events and subscriptions: what is counted, under the names of tas-mcp and ours. No label has an id.

import { expect, test } from "bun:test";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { eventMetrics } from "../../src/features/event/event-metrics.ts";
import { eventFeature, subscriptionFeature } from "../../src/features/event/index.ts";
import { EVENT_METER, EventMeter } from "../../src/features/event/meter.ts";
import { subscriptionMetrics } from "../../src/features/event/subscription/metrics.ts";
import { Metrics } from "../../src/observe/metrics.ts";
import { localAdmin } from "../kit/core.ts";
import { sender, startEvents } from "../kit/events.ts";

const features = [agentFeature, contextFeature, eventFeature, subscriptionFeature];

/** The samples of a scrape: `name{labels}` → value. */
const samples = (metrics: Metrics) =>
  Object.fromEntries(
    metrics
      .text()
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
  );

test("events by surface and outcome, sizes, what is kept, and the lag of the slowest subscription", async () => {
  await using events = startEvents({ features });
  const metrics = new Metrics();
  events.node.provide(EVENT_METER, new EventMeter());
  eventMetrics(metrics, events.node);
  subscriptionMetrics(metrics, events.node);
  expect(samples(metrics)).toEqual({
    ...{ cairn_events_ordered_total: 0, cairn_events_kept: 0, cairn_events_kept_bytes: 0 },
    ...{ tas_mcp_buffer_utilization_ratio: 0, cairn_event_subscriptions_failing: 0, cairn_event_dead_letters: 0 },
    ...{ cairn_event_delivery_lag_events: 0, cairn_event_delivery_lag_seconds: 0 },
  });
  const ops = { name: "ops", target: { kind: "http", url: "https://ops.example.com/in" }, spaces: ["team-*"] };
  await events.core.call("event_target_set", ops, localAdmin);
  const subscribe = (id: string) =>
    events.core.call("subscription_create", { id, target: "ops", since: "oldest" }, sender("ann"));
  await subscribe("team-a/one");
  await subscribe("team-a/two");
  await events.core.call("subscription_pause", { id: "team-a/two" }, sender("ann"));
  await events.publish("ann", { space: "team-a", type: "secret-type", data: "x".repeat(1000) });
  await events.publishMany("ann", [{ type: "t", id: "1" }, {}, { type: "t", id: "1" }]);
  await events.publish("ann", { type: "" }).catch(() => {});
  const http = await events.core.http("/events?space=team-a", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"type":"t"}',
  });
  expect(http.status).toBe(200);
  await events.list();
  events.pass(7000);
  const found = samples(metrics);
  expect(found).toMatchObject({
    'tas_mcp_events_total{method="local",status="success"}': 3,
    'tas_mcp_events_total{method="local",status="error"}': 2,
    'tas_mcp_events_total{method="http",status="success"}': 1,
    ...{ cairn_events_ordered_total: 3, cairn_events_kept: 3 },
    'cairn_event_subscriptions{state="active"}': 1,
    'cairn_event_subscriptions{state="paused"}': 1,
    ...{ cairn_event_delivery_lag_events: 3, cairn_event_delivery_lag_seconds: 7 },
  });
  expect(found['tas_mcp_event_size_bytes{percentile="99"}']).toBeGreaterThan(1000);
  expect(found['tas_mcp_event_size_bytes{percentile="50"}']).toBeLessThan(200);
  expect(metrics.text()).not.toMatch(/secret-type|team-a|ann|ops/);
});

test("attempts by kind of target and result, and how long they took", () => {
  const meter = new EventMeter();
  const metrics = new Metrics();
  meter.register(metrics);
  for (const seconds of [0.002, 0.2]) meter.attempted("webhook", "delivered", seconds);
  meter.attempted("http", "failed", 3);
  expect(samples(metrics)).toMatchObject({
    'cairn_event_deliveries_total{target="webhook",result="delivered"}': 2,
    'cairn_event_deliveries_total{target="http",result="failed"}': 1,
    'tas_mcp_forward_duration_seconds_count{target="webhook"}': 2,
    'tas_mcp_forward_duration_seconds_bucket{target="webhook",le="0.005"}': 1,
    'tas_mcp_forward_duration_seconds_bucket{target="http",le="2.5"}': 0,
  });
});

test("percentiles are of the newest events", () => {
  const meter = new EventMeter();
  const metrics = new Metrics();
  meter.register(metrics);
  for (let index = 0; index < 1024; index += 1) meter.published("rest", "success", 1);
  for (let index = 0; index < 1024; index += 1) meter.published("mcp", "success", index + 1);
  const found = samples(metrics);
  const of = (percentile: number) => found[`tas_mcp_event_size_bytes{percentile="${percentile}"}`];
  expect([of(50), of(95), of(99)]).toEqual([512, 973, 1014]);
});
