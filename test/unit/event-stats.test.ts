// Counts of events against a plain model, classes by rules, how deliveries go, and who sees what of the topology.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { eventFeature, subscriptionFeature } from "../../src/features/event/index.ts";
import { MAX_COUNTED } from "../../src/features/event/stats/stats-operation.ts";
import { bucketSeconds, MAX_BUCKETS, Tally } from "../../src/features/event/stats/tally.ts";
import { localAdmin } from "../kit/core.ts";
import { type Events, sender, startEvents } from "../kit/events.ts";

const features = [agentFeature, contextFeature, eventFeature, subscriptionFeature];
interface Named {
  name: string;
  events: number;
  bytes: number;
}
interface Stats {
  from: string;
  to: string;
  complete: boolean;
  events: number;
  bytes: number;
  bucket_seconds: number;
  types: Named[];
  sources: Named[];
  spaces: Named[];
  senders: Named[];
  buckets: { at: string; events: number }[];
  classes?: { looked_at: number; none: number; by_rule: { rule: string; events: number; failed: number }[] };
  deliveries: Record<string, unknown>[];
}

let events: Events;
beforeEach(() => {
  events = startEvents({ features });
});
afterEach(() => events[Symbol.asyncDispose]());

const stats = async (input: object = {}, who = sender("reader")) =>
  (await events.core.call("event_stats", input, who)) as unknown as Stats;
const topology = (input: object = {}, who = sender("reader")) => events.core.call("event_topology", input, who);
const publish = (who: string, type: string, more: object = {}) =>
  events.publish(who, { space: "team-a", type, ...more });
const named = (list: Named[]) => Object.fromEntries(list.map(({ name, events: count }) => [name, count]));

describe("event_stats", () => {
  test("counts as a plain count of what event_list shows", async () => {
    for (let round = 0; round < 30; round += 1) {
      await publish(["ann", "bob"][round % 2] ?? "", `t.${round % 3}`, { source: `s${round % 5}` });
      events.pass(10_000);
    }
    await events.publish("ann", { space: "team-b", type: "t.0" });
    const { events: seen } = await events.list({ limit: 1000 });
    const found = await stats({ top: 100 });
    const countBy = (of: (event: (typeof seen)[number]) => string) =>
      Object.fromEntries([...Map.groupBy(seen, of)].map(([name, list]) => [name, list.length]));
    expect(found).toMatchObject({ events: 31, complete: true, bucket_seconds: 60, deliveries: [] });
    expect(named(found.types)).toEqual(countBy(({ type }) => type));
    expect(named(found.sources)).toEqual(countBy(({ source }) => source));
    expect(named(found.spaces)).toEqual({ "team-a": 30, "team-b": 1 });
    expect(named(found.senders)).toEqual({ "user:ann@x": 16, "user:bob@x": 15 });
    expect(Object.fromEntries(found.buckets.map(({ at, events: count }) => [at, count]))).toEqual(
      countBy(({ ["cairntime"]: at }) => `${String(at).slice(0, 17)}00.000Z`),
    );
    for (const list of [found.types, found.sources, found.spaces, found.senders])
      expect(list.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(found.bytes);
    expect(found.types.map(({ events: count }) => count)).toEqual([11, 10, 10]);
  });

  test("of more than are counted, says since when, and tells no time of an event that may not be seen", async () => {
    await publish("ann", "seen");
    events.pass(1000);
    await events.publish("ann", { space: "team-b", type: "hidden" });
    events.core.store.transaction((tx) => {
      tx.run("CREATE TEMP TABLE copied AS SELECT * FROM events WHERE offset = 2");
      tx.run(
        "CREATE TEMP TABLE numbers AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i FROM n",
        MAX_COUNTED,
      );
      const columns = Object.keys(tx.get("SELECT * FROM copied") ?? {}).filter((name) => name !== "offset");
      tx.run(`INSERT INTO events (offset, ${columns}) SELECT 2 + i, ${columns} FROM copied, numbers`);
      tx.run("UPDATE event_head SET tail = tail + ?", MAX_COUNTED);
    });
    const hiddenMs = events.nowMs();
    events.pass(1000);
    const range = { until_time: new Date(events.nowMs()).toISOString() };
    const all = await stats(range);
    expect(all).toMatchObject({ complete: false, events: MAX_COUNTED, from: new Date(hiddenMs).toISOString() });
    const some = await stats(range, sender("cy", { role: "reader", spaces: ["team-a"] }));
    expect(some).toMatchObject({ complete: false, events: 0, from: range.until_time });
  }, 60_000);

  test("of a range of time, of what is chosen, and of the spaces that the caller may read", async () => {
    await publish("ann", "early");
    events.pass(7_200_000);
    const middle = new Date(events.nowMs()).toISOString();
    await publish("ann", "late", { subject: "x" });
    await events.publish("ann", { space: "team-b", type: "late" });
    expect(named((await stats()).types)).toEqual({ late: 2 });
    expect(named((await stats({ after: "2023-01-01T00:00:00Z" })).types)).toEqual({ early: 1, late: 2 });
    expect(named((await stats({ after: "2023-01-01T00:00:00Z", until_time: middle })).types)).toEqual({ early: 1 });
    expect((await stats({ subject: "x" })).events).toBe(1);
    const some = sender("cy", { role: "reader", spaces: ["team-b"] });
    const seen = await stats({ after: "2023-01-01T00:00:00Z" }, some);
    expect(seen).toMatchObject({ events: 1, spaces: [{ name: "team-b" }] });
    expect(JSON.stringify(seen)).not.toContain("early");
  });

  test("classes by rules, with what failed", async () => {
    for (const ok of [true, false, false]) await publish("ann", "build", { data: { ok } });
    await publish("ann", "other");
    const rules = [
      { id: "good", match: { cel: "event.data.ok" } },
      { id: "bad", match: { cel: 'event.type == "build"' } },
    ];
    expect((await stats({ rules })).classes).toEqual({
      looked_at: 4,
      none: 1,
      by_rule: [
        { rule: "good", events: 1, failed: 1 },
        { rule: "bad", events: 2, failed: 0 },
      ],
    });
  });

  test("by HTTP", async () => {
    await publish("ann", "a");
    const answer = await events.core.http("/events/stats?types=a,b&top=3", {}, sender("reader"));
    expect([answer.status, ((await answer.json()) as Stats).events]).toEqual([200, 1]);
    const wrong = await events.core.http("/events/stats?after=yesterday", {}, sender("reader"));
    expect([wrong.status, await wrong.text()]).toEqual([400, expect.stringContaining("after")]);
    expect((await events.core.http("/events/topology", {}, sender("reader"))).status).toBe(200);
  });
});

describe("a tally", () => {
  test("stays bounded whatever senders are called, and loses no event", () => {
    const tally = new Tally(1000);
    const row = { offset: 1, space: "s", caller: "c", agent: "", type: "t", subject: "", log_time: 5000, size: 2 };
    for (let index = 0; index < 6000; index += 1) tally.add({ ...row, source: `s${index}` });
    const [most, ...rest] = tally.sources.top(10_000);
    expect(most).toEqual({ name: "(others)", events: 1000, bytes: 2000 });
    expect(rest).toHaveLength(5000);
    expect(tally.buckets()).toEqual([{ atMs: 5000, events: 6000 }]);
  });

  test("has no more intervals than it may", () => {
    for (const rangeMs of [0, 1000, 86_400_000, 86_400_001, 10 * 365 * 86_400_000]) {
      const seconds = bucketSeconds(60, rangeMs);
      expect([seconds % 60, rangeMs / 1000 / seconds <= MAX_BUCKETS]).toEqual([0, true]);
    }
    expect(bucketSeconds(60, 86_400_000)).toBe(60);
  });
});

describe("event_topology", () => {
  const OPS = { name: "ops", target: { kind: "http", url: "https://ops.example.com/in" }, spaces: ["team-*"] };
  const subscribe = (id: string, more: object = {}) =>
    events.core.call("subscription_create", { id, target: "ops", since: "oldest", ...more }, sender("ann"));

  test("senders, subscriptions and targets, with lag and what is paused", async () => {
    await events.core.call("event_target_set", OPS, localAdmin);
    await events.core.call("event_target_set", { ...OPS, name: "spare" }, localAdmin);
    await subscribe("team-a/alerts", { rules: [{ id: "all" }] });
    await subscribe("team-b/alerts");
    await events.core.call("subscription_pause", { id: "team-b/alerts" }, sender("ann"));
    await publish("ann", "a");
    await publish("ann", "b");
    await publish("bob", "c");
    events.pass(5000);
    expect(await topology()).toMatchObject({
      looked_at: 3,
      senders: [
        { name: "user:ann@x", space: "team-a", events: 2 },
        { name: "user:bob@x", space: "team-a", events: 1 },
      ],
      subscriptions: [
        {
          ...{ id: "team-a/alerts", target: "ops", kind: "http", state: "active", owner: "user:ann@x", rules: ["all"] },
          ...{ behind: 3, lag_seconds: 5, error_rate: 0, dead_letters: 0 },
        },
        { id: "team-b/alerts", state: "paused", reason: "asked" },
      ],
      targets: [{ name: "ops", kind: "http", health: "ok", subscriptions: 2 }],
    });
    expect(await topology({ space: "team-b" })).toMatchObject({
      subscriptions: [{ id: "team-b/alerts" }],
      targets: [{ name: "ops", health: "stopped", subscriptions: 1 }],
      senders: [],
    });
    // A reader of the space fleet may list targets.
    const { targets } = await topology({}, localAdmin);
    expect(targets).toContainEqual({ name: "spare", kind: "http", health: "unused", subscriptions: 0 });
    expect((await stats()).deliveries).toHaveLength(2);
    expect((await stats({ space: "team-a" })).deliveries).toHaveLength(1);
  });

  test("what the last attempt of a failing subscription met", async () => {
    await events.core.call("event_target_set", OPS, localAdmin);
    await subscribe("team-a/alerts");
    const problem = async (status: number, detail: string) => {
      const sql = "INSERT OR REPLACE INTO subscription_failing VALUES (?, 1, 1, 0, ?, ?)";
      events.core.store.transaction((tx) => tx.run(sql, "team-a/alerts", status, detail));
      return (await topology())["subscriptions"];
    };
    expect(await problem(503, "busy")).toMatchObject([{ state: "failing", problem: "HTTP 503 busy" }]);
    expect(await problem(500, "")).toMatchObject([{ problem: "HTTP 500" }]);
    expect(await problem(0, "no response within 15 s")).toMatchObject([{ problem: "no response within 15 s" }]);
  });

  test("nothing of spaces that the caller may not read", async () => {
    await events.core.call("event_target_set", OPS, localAdmin);
    await subscribe("team-a/alerts");
    await publish("ann", "a");
    const some = sender("cy", { role: "reader", spaces: ["team-b"] });
    expect(await topology({}, some)).toMatchObject({ looked_at: 0, senders: [], subscriptions: [], targets: [] });
  });
});
