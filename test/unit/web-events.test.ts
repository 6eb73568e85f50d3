// The page of events as a string: what it shows of what others sent, for whom, and the picture of how events flow.

import { describe, expect, test } from "bun:test";
import type { Caller } from "../../src/access/caller.ts";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { eventFeature, subscriptionFeature } from "../../src/features/event/index.ts";
import { drawingOf } from "../../src/features/event/pages/topology-picture.tsx";
import type { Topology } from "../../src/features/event/stats/topology-operation.ts";
import { localAdmin } from "../kit/core.ts";
import { sender, startEvents } from "../kit/events.ts";
import { webOver } from "../kit/web.ts";

const features = [agentFeature, contextFeature, eventFeature, subscriptionFeature];
const HOSTILE = "</text><script>alert(1)</script>\u202eevil \"x\" 'y'";

function start() {
  const events = startEvents({ features });
  const web = webOver(events.core, { features, nowMs: events.nowMs, onUnexpected: (error) => String(error) });
  const page = async (path: string, caller: Caller = localAdmin) => {
    const response = await web.fetch(new Request(`http://cairn${path}`), caller, "http");
    if (response === undefined) throw new Error(`${path} is no page`);
    return { status: response.status, text: await response.text() };
  };
  return { events, page, [Symbol.asyncDispose]: () => events[Symbol.asyncDispose]() };
}

const OPS = { name: "ops", target: { kind: "http", url: "https://ops.example.com/in" }, spaces: ["team-*"] };

describe("the page of events", () => {
  test("has events, subscriptions, senders and targets, and all that others wrote as text alone", async () => {
    await using web = start();
    const { events, page } = web;
    await events.core.call("event_target_set", OPS, localAdmin);
    await events.core.call("subscription_create", { id: "team-a/alerts", target: "ops" }, sender("ann"));
    const event = { space: "team-a", type: HOSTILE.replace("\u202e", ""), subject: HOSTILE, data: { text: HOSTILE } };
    await events.publish("ann", { ...event, type: "build.done" });
    await events.publish("ann", { space: "team-a", type: event.type });
    const { status, text } = await page("/ui/events");
    expect(status).toBe(200);
    for (const shown of ["build.done", "team-a/alerts", "ops", "ann@x", "1 subscription", '<svg class="topology"'])
      expect(text).toContain(shown);
    expect(text).toContain("&lt;script&gt;alert(1)");
    expect(text).not.toMatch(/<script>alert|\u202e/);
    expect(text.match(/<script/g)).toHaveLength(1);
    expect(text).not.toContain("ops.example.com");
  });

  test("says what the last attempt of a failing subscription met", async () => {
    await using web = start();
    const { core } = web.events;
    await core.call("event_target_set", OPS, localAdmin);
    await core.call("subscription_create", { id: "team-a/alerts", target: "ops" }, sender("ann"));
    expect((await web.page("/ui/events")).text).not.toContain("HTTP 503");
    core.store.transaction((tx) =>
      tx.run("INSERT INTO subscription_failing VALUES (?, 1, 1, 0, 503, ?)", "team-a/alerts", HOSTILE),
    );
    const { text } = await web.page("/ui/events");
    expect(text).toContain("HTTP 503 &lt;/text&gt;&lt;script&gt;alert(1)");
    expect(text).not.toMatch(/<script>alert|\u202e/);
  });

  test("shows what is chosen, page by page", async () => {
    await using web = start();
    for (let index = 0; index < 60; index += 1)
      await web.events.publish("ann", { space: "team-a", type: `t.${index % 2}`, subject: `s${index}` });
    const { text } = await web.page("/ui/events?type=t.1");
    expect(text).toContain("s59");
    expect(text).not.toContain("s58");
    const first = (await web.page("/ui/events")).text;
    const next = /href="(\/ui\/events\?[^"]*before=[^"]*)"/.exec(first)?.[1]?.replaceAll("&amp;", "&") ?? "";
    const second = (await web.page(next)).text;
    expect([first.includes("s59"), first.includes(">s9<"), second.includes("s59"), second.includes("s9")]).toEqual([
      ...[true, false, false, true],
    ]);
    expect((await web.page("/ui/events?space=none")).text).toContain("There is no such event that you may read.");
  });

  test("nothing of spaces that the caller may not read", async () => {
    await using web = start();
    await web.events.core.call("event_target_set", OPS, localAdmin);
    await web.events.core.call("subscription_create", { id: "team-a/alerts", target: "ops" }, sender("ann"));
    await web.events.publish("ann", { space: "team-a", type: "canary" });
    const { text } = await web.page("/ui/events", sender("cy", { role: "reader", spaces: ["team-b"] }));
    expect(text).not.toMatch(/canary|team-a|ops|ann/);
  });
});

describe("the picture", () => {
  const delivery = (index: number, more: object = {}) => ({
    ...{
      id: `s/${index}`,
      space: `s${index}`,
      target: `t${index}`,
      kind: "http",
      owner: "o",
      state: "active" as const,
    },
    ...{ rules: [], behind: 0, lag_seconds: 0, delivered: 0, failed: 0, error_rate: 0, dropped: 0, dead_letters: 0 },
    ...more,
  });
  const topology = (more: Partial<Topology>): Topology => ({
    log: { kind: "fleet", durability: "replicated; voters=1; sync=always", reached: true },
    ...{ looked_at: 0, senders: [], subscriptions: [], targets: [], ...more },
  });

  test("has a way from each sender over space and subscription to the target, with its state", () => {
    const { columns, ways } = drawingOf(
      topology({
        senders: [{ name: "user:ann", space: "s1", events: 1, bytes: 1 }],
        subscriptions: [delivery(1, { state: "failing" }), delivery(2, { target: "", kind: "context" })],
        targets: [{ name: "t1", kind: "http", health: "failing", subscriptions: 1 }],
      }),
    );
    expect(columns.map((boxes) => boxes.map(({ label, state }) => `${label} ${state}`.trim()))).toEqual([
      ["user:ann"],
      ["s1", "s2"],
      ["s/1 failing", "s/2 ok"],
      ["t1 failing", "(context)"],
    ]);
    expect(ways.map(({ from, to, state }) => [from, to, state].join(" > "))).toEqual([
      ...["a user:ann > b s1 > ", "b s1 > c s/1 > failing", "c s/1 > d t1 > failing"],
      ...["b s2 > c s/2 > ok", "c s/2 > d (context) > ok"],
    ]);
  });

  test("stays bounded, and no way leads to a box that is not drawn", () => {
    const { columns, ways } = drawingOf(
      topology({
        senders: Array.from({ length: 50 }, (_, index) => ({
          name: `u${index}`,
          space: `s${index}`,
          events: 1,
          bytes: 1,
        })),
        subscriptions: Array.from({ length: 300 }, (_, index) => delivery(index)),
      }),
    );
    for (const boxes of columns) expect(boxes.length).toBeLessThanOrEqual(12);
    expect(columns[2]?.at(-1)?.label).toBe("… and 289 more");
    const ids = new Set(columns.flat().map(({ id }) => id));
    expect(ids.size).toBe(columns.flat().length);
    for (const { from, to } of ways) expect([ids.has(from), ids.has(to)]).toEqual([true, true]);
  });
});
