// events_recent, event_types and event_poll: what models and clients of MCP Events read, over one store.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { writeMeta } from "../../src/log/meta.ts";
import { localAdmin } from "../kit/core.ts";
import { type Events, type Seen, sender, startEvents } from "../kit/events.ts";
import { DEFAULT_FLEET_SETTINGS } from "../kit/limits.ts";
import { refusal } from "../kit/refusal.ts";

type Json = Record<string, unknown>;

interface Found {
  events: { eventId: string; name: string; timestamp: string; data: Seen }[];
  cursor: string;
  truncated: boolean;
  more: boolean;
}

let events: Events;
beforeEach(() => {
  events = startEvents();
});
afterEach(() => events[Symbol.asyncDispose]());

const call = async (name: string, input: Json, who = sender("eve")) =>
  (await events.core.call(name, input, who)) as unknown as Found;
const recent = (input: Json = {}, who = sender("eve")) => call("events_recent", { space: "team-a", ...input }, who);
const publish = (n: number, type = "build.done", space = "team-a") =>
  events.publish("ann", { space, type, data: { n } });
const numbers = ({ events: found }: Found) => found.map(({ data }) => (data["data"] as { n: number }).n);

describe("events_recent", () => {
  test("returns the newest, oldest first, and goes on by cursor", async () => {
    for (const n of [1, 2, 3, 4]) await publish(n);
    await publish(9, "build.done", "other");
    const newest = await recent({ limit: 3 });
    expect([numbers(newest), newest.truncated, newest.more]).toEqual([[2, 3, 4], false, false]);
    expect(newest.events[0]).toMatchObject({ name: "build.done", data: { cairncaller: "user:ann@x" } });
    expect(await recent({ cursor: newest.cursor })).toMatchObject({ events: [], more: false });
    for (const n of [5, 6, 7]) await publish(n);
    const page = await recent({ cursor: newest.cursor, limit: 2 });
    expect([numbers(page), page.more]).toEqual([[5, 6], true]);
    expect(numbers(await recent({ cursor: page.cursor, limit: 2 }))).toEqual([7]);
  });

  test("chooses by type, source and subject", async () => {
    await publish(1);
    await publish(2, "deploy.done");
    await events.publish("ann", { space: "team-a", type: "build.x", subject: "main", source: "ci", data: { n: 3 } });
    expect(numbers(await recent({ types: ["build.*"] }))).toEqual([1, 3]);
    expect(numbers(await recent({ types: ["deploy.done"] }))).toEqual([2]);
    expect(numbers(await recent({ source: "user:ann@x/ci" }))).toEqual([3]);
    expect(numbers(await recent({ subject: "ma*" }))).toEqual([3]);
  });

  test("says what retention removed, and refuses a cursor that is none", async () => {
    const { cursor } = await recent();
    await publish(1);
    events.limits.events.keepCount = 1;
    await publish(2);
    await events.retain();
    const page = await recent({ cursor });
    expect([numbers(page), page.truncated]).toEqual([[2], true]);
    expect(await refusal(recent({ cursor: "yesterday" }))).toMatchObject({ code: "invalid_input" });
    const ahead = `${cursor.split("-")[0]}-e77`;
    const fault = await refusal(recent({ cursor: ahead }));
    expect([fault.code, fault.message]).toEqual([
      "invalid_input",
      expect.stringContaining("ahead of the newest event"),
    ]);
  });

  test("reads a space that its caller may read", async () => {
    await publish(1);
    const bob = sender("bob", { role: "reader", spaces: ["team-b"] });
    expect((await refusal(recent({}, bob))).code).toBe("forbidden");
  });
});

test("the id of an occurrence is that of the event, whoever reads it in which way", async () => {
  await publish(1);
  await publish(1);
  const [first, second] = (await recent()).events;
  expect(first?.eventId).not.toBe(second?.eventId);
  const any = { name: "cairn.event", arguments: { space: "team-a" } };
  const { cursor } = await call("event_poll", { ...any, limit: 0 });
  const start = `${cursor.split("-")[0]}-e0`;
  const polled = await call("event_poll", { ...any, cursor: start });
  expect(polled.events.map(({ eventId }) => eventId)).toEqual([first?.eventId ?? "", second?.eventId ?? ""]);
});

test("a poll leaves out what its caller sent itself, unless it asks", async () => {
  await publish(1);
  const any = { name: "cairn.event", arguments: { space: "team-a" } };
  const { cursor } = await call("event_poll", { ...any, limit: 0 });
  const start = `${cursor.split("-")[0]}-e0`;
  expect(numbers(await call("event_poll", { ...any, cursor: start }, sender("ann")))).toEqual([]);
  const own = { ...any, arguments: { space: "team-a", own: true } };
  expect(numbers(await call("event_poll", { ...own, cursor: start }, sender("ann")))).toEqual([1]);
});

test("types of what Cairn itself does are known as far as the fleet publishes them, with when there is one", async () => {
  const wanted = (types: readonly string[]) => {
    const text = JSON.stringify({ ...DEFAULT_FLEET_SETTINGS, "events.own": types });
    events.core.store.transaction((tx) => writeMeta(tx, { fleet_settings: text }));
  };
  const poll = () => call("event_poll", { name: "cairn.context.changed", arguments: { space: "team-a" } });
  wanted([]);
  expect((await refusal(poll())).code).toBe("not_found");
  wanted(["cairn.context.*"]);
  expect(await poll()).toMatchObject({ events: [] });
  const { types } = (await events.core.call("event_types", {}, localAdmin)) as { types: Json[] };
  expect(types.map(({ name }) => name)).toEqual(["cairn.context.changed", "cairn.event"]);
  expect(types[0]?.["description"]).toMatch(/^Cairn itself: .+\.$/);
});

test("a type is known by the newest events of what its caller may read; a cursor shows that it was", async () => {
  await publish(1);
  const poll = (name: string, more: Json = {}, who = sender("eve")) =>
    call("event_poll", { name, arguments: { space: "team-a" }, ...more }, who);
  const { cursor } = await poll("build.done");
  expect((await refusal(poll("build.gone"))).message).toContain("build.gone");
  expect(await poll("build.gone", { cursor })).toMatchObject({ events: [] });
  await publish(2, "hidden.type", "team-b");
  const bob = sender("bob", { role: "reader", spaces: ["team-a"] });
  expect((await refusal(poll("hidden.type", {}, bob))).code).toBe("not_found");
  const { types } = (await events.core.call("event_types", {}, bob)) as { types: Json[] };
  expect(types.map(({ name }) => name)).toEqual(["build.done", "cairn.event"]);
  const all = (await events.core.call("event_types", { limit: 2 }, localAdmin)) as { types: Json[]; more: boolean };
  expect([all.types.map(({ name }) => name), all.more]).toEqual([["build.done", "cairn.event"], true]);
  const rest = await events.core.call("event_types", { after: "cairn.event" }, localAdmin);
  expect(rest).toMatchObject({ types: [{ name: "hidden.type", spaces: ["team-b"] }], more: false });
});
