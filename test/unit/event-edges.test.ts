// Edges of the event log that other tests pass by: callers whose events meet, bounds that are met exactly, and what an
// open stream does where rights end or retention was faster.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { appendRows } from "../../src/features/event/append.ts";
import { EventFeed } from "../../src/features/event/feed.ts";
import { publishOperations } from "../../src/features/event/publish.ts";
import { ReplicatedEventLog } from "../../src/features/event/replicated-log.ts";
import { type EventRow, eventHead } from "../../src/features/event/rows.ts";
import { offsetSince } from "../../src/features/event/start-of.ts";
import { MAX_TRIMMED } from "../../src/features/event/trim.ts";
import { EventPlace } from "../../src/features/event/wait.ts";
import { commaListItem, splitCommaList } from "../../src/lib/comma-list.ts";
import type { CallContext, MacroOperation, MacroSteps } from "../../src/operation/define.ts";
import { NODE, type NodeParts } from "../../src/operation/node-parts.ts";
import { Services } from "../../src/operation/services.ts";
import { type Events, sender, startEvents } from "../kit/events.ts";
import { faultOf } from "../kit/refusal.ts";

let events: Events;
beforeEach(() => {
  events = startEvents();
});
afterEach(() => events[Symbol.asyncDispose]());

const types = (count: number, type: string) => Array.from({ length: count }, () => ({ type }));

test("events of several callers that come at once are each one's own", async () => {
  const names = ["ann", "bob", "ann", "eve", "bob", "ann"];
  await Promise.all(names.map((name) => events.publishMany(name, types(5, name))));
  const { events: all } = await events.list({ limit: 100 });
  expect(all).toHaveLength(30);
  for (const { cairncaller, type } of all) expect(cairncaller).toBe(`user:${type}@x`);
});

test("duplicates are found by source and id: the newest one, among more events than one statement takes", async () => {
  const of = (source: string, from: number, count: number) =>
    Array.from({ length: count }, (_, at) => ({ type: "t", source, id: `${from + at}`, data: from + at }));
  await events.publishMany("ann", [...of("a", 0, 70), ...of("b", 40, 30)]);
  const again = await events.publishMany("ann", [...of("b", 30, 20), ...of("a", 65, 10), ...of("b", 30, 1)]);
  const places = again.map(({ cursor = "", duplicate }) => [Number(cursor.split("-e")[1]), duplicate]);
  const expected = [
    ...Array.from({ length: 10 }, (_, at) => [101 + at, false]),
    ...Array.from({ length: 10 }, (_, at) => [71 + at, true]),
    ...Array.from({ length: 5 }, (_, at) => [66 + at, true]),
    ...Array.from({ length: 5 }, (_, at) => [111 + at, false]),
    [101, true],
  ];
  expect(places).toEqual(expected);
  events.pass(3_600_000);
  await events.publishMany("ann", of("a", 3, 1));
  const [third] = await events.publishMany("ann", of("a", 3, 1));
  expect([third?.duplicate, third?.cursor?.split("-e")[1]]).toEqual([true, "116"]);
});

test("a node without a log of its own, an edge, says which promise the log of its fleet has", async () => {
  const parts = { limits: () => events.limits } as unknown as NodeParts;
  const [one, many] = publishOperations(new Services().provide(NODE, parts)) as MacroOperation[];
  const ask: MacroSteps["ask"] = (name, input) => events.core.call(name, input, sender("ann"));
  const steps = { ask, key: undefined, who: "ann", surface: "rest" } as unknown as MacroSteps;
  const durability = "replicated; voters=1; sync=always";
  expect(await one?.run({ type: "t", id: "1" }, steps)).toMatchObject({ id: "1", durability });
  // The same event has the same promise, and a call of which nothing was taken has none.
  const events_ = [{ type: "t", id: "1" }, {}];
  expect(await many?.run({ events: events_ }, steps)).toMatchObject({ results: [{ duplicate: true }, {}], durability });
  expect(await many?.run({ events: [{}] }, steps)).not.toHaveProperty("durability");
});

test("an event is no duplicate once the window is over, to the millisecond", async () => {
  const event = { type: "t", id: "1" };
  await events.publish("ann", event);
  events.pass(3_600_000 - 1);
  expect((await events.publish("ann", event)).duplicate).toBe(true);
  events.pass(1);
  expect((await events.publish("ann", event)).duplicate).toBe(false);
});

test("types with commas are asked for in a list of a query, each as it is", async () => {
  for (const type of ["a,b", "a", "b", "c\\", "c\\,d"]) await events.publish("ann", { type });
  const listed = async (types: string) => {
    const response = await events.core.http(`/events?${new URLSearchParams({ types })}`);
    const { events: found } = (await response.json()) as { events: { type: string }[] };
    return found.map(({ type }) => type).reverse();
  };
  expect(await listed("a,b")).toEqual(["a", "b"]);
  expect(await listed("a\\,b,b")).toEqual(["a,b", "b"]);
  const all = ["a,b", "c\\", "c\\,d", "é😀\\x"];
  const text = all.map(commaListItem).join(",");
  expect(splitCommaList(text)).toEqual(all);
  expect(await listed(text)).toEqual(["a,b", "c\\", "c\\,d"]);
  expect(splitCommaList("a\\b,")).toEqual(["a\\b", ""]);
});

test("retention keeps as many events as it says, and no counts of who has none", async () => {
  for (let at = 0; at < 20; at++) await events.publish(at < 10 ? "ann" : "bob", { type: "t" });
  events.limits.events.keepCount = 10;
  await events.retain();
  expect((await events.list()).oldest).toEndWith("-e10");
  const names = events.core.store.reader.all<{ name: string }>("SELECT name FROM event_usage WHERE kind = 'caller'");
  expect(names).toEqual([{ name: "user:bob@x" }]);
});

test("retention goes on behind a command that made more events than it removes at once", async () => {
  await events.publish("ann", { type: "t", id: "first" });
  events.core.store.transaction((tx) => {
    const head = eventHead(tx);
    const [row] = tx.all<EventRow>("SELECT * FROM events");
    const many = Array.from({ length: MAX_TRIMMED + 10 }, (_, at) => ({
      ...{ ...(row as EventRow), offset: head.tail + 1 + at, id: `n${at}` },
    }));
    appendRows(tx, head, many, { seq: 0, timeMs: row?.log_time ?? 0 });
  });
  await events.publish("ann", { type: "t", id: "last" });
  events.limits.events.keepCount = 1;
  await events.retain();
  expect((await events.list()).events.map(({ id }) => id)).toEqual(["last"]);
  const { bytes } = eventHead(events.core.store.reader);
  expect(events.core.store.reader.get("SELECT SUM(bytes) AS bytes FROM event_segments")).toEqual({ bytes });
});

test("a cursor is waited for only where its event is not there", async () => {
  const { cursor } = await events.publish("ann", { type: "t" });
  const waits: number[] = [];
  const feed = {
    log: new ReplicatedEventLog(events.core.store.reader, () => events.core.log),
    wait: async (offset: number) => {
      waits.push(offset);
    },
  } as unknown as EventFeed;
  const context = { reach: async () => 0, signal: new AbortController().signal };
  expect(await offsetSince(feed, cursor, context)).toBe(1);
  // The feed returns at once where its newest event lies after this offset.
  expect(waits).toEqual([0]);
});

test("an open stream judges rights before it gives an event, and ends where retention was faster", async () => {
  const { store, log } = events.core;
  const feed = new EventFeed(new ReplicatedEventLog(store.reader, () => log));
  const context = {
    ...{ position: () => log.position(), visible: () => true, spend: () => {}, author: "user:bob@x" },
  } as unknown as CallContext;
  const place = new EventPlace(feed, {}, 0, context);
  let judged = 0;
  const judge = () => {
    judged += 1;
    throw new Error("rights ended");
  };
  expect(place.take(10, judge).items).toEqual([]);
  for (let at = 0; at < 20; at++) await events.publish("ann", { type: "t" });
  expect(() => place.take(10, judge)).toThrow("rights ended");
  expect([judged, place.position.split("-e")[1]]).toEqual([1, "0"]);
  events.limits.events.keepCount = 10;
  await events.retain();
  expect(faultOf(() => place.take(10, () => {})).code).toBe("below_floor");
});

test("a hundred streams that are woken by one event read the log once", async () => {
  const { store, log } = events.core;
  const read: string[] = [];
  const counted = new Proxy(new ReplicatedEventLog(store.reader, () => log), {
    get(of, key) {
      if (["head", "after", "judge"].includes(String(key))) read.push(String(key));
      return Reflect.get(of, key).bind?.(of) ?? Reflect.get(of, key);
    },
  });
  const feed = new EventFeed(counted);
  const context = { visible: () => true, spend: () => {}, author: "user:bob@x" } as unknown as CallContext;
  const taken: unknown[] = [];
  const all = Promise.withResolvers<void>();
  const ends = Array.from({ length: 100 }, () => {
    const place = new EventPlace(feed, {}, 0, context);
    return place.onNews(() => {
      taken.push(...place.take(10, () => {}).items.map(({ value }) => value["id"]));
      expect(place.take(10, () => {}).items).toEqual([]);
      if (taken.length === 100) all.resolve();
    });
  });
  read.length = 0;
  await events.publish("ann", { type: "t", id: "one" });
  await all.promise;
  expect(new Set(taken)).toEqual(new Set(["one"]));
  expect(read).toEqual(["head", "after"]);
  for (const end of ends) end();
});

test("an open stream of a log that has to be asked says when its events have come, and fails as the log does", async () => {
  const here = new ReplicatedEventLog(events.core.store.reader, () => events.core.log);
  const asked: number[] = [];
  let broken: Error | undefined;
  const far = new Proxy(here, {
    get(of, key) {
      if (key !== "after") return Reflect.get(of, key).bind?.(of) ?? Reflect.get(of, key);
      return async (offset: number, max: number) => {
        asked.push(offset);
        if (broken !== undefined) throw broken;
        return of.after(offset, max);
      };
    },
  });
  const context = { visible: () => true, spend: () => {}, author: "user:bob@x" } as unknown as CallContext;
  const place = new EventPlace(new EventFeed(far), {}, 0, context);
  const followed = { close: () => {} };
  const news = async (act: () => unknown) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    followed.close();
    followed.close = place.onNews(() => resolve());
    act();
    await promise;
  };
  await events.publishMany(
    "ann",
    Array.from({ length: 5 }, (_, at) => ({ type: "t", id: `${at}` })),
  );
  const take = (max: number) => place.take(max, () => {}).items.map(({ value }) => value["id"]);
  await news(() => expect(take(2)).toEqual([]));
  expect([take(2), take(2), take(2)]).toEqual([["0", "1"], ["2", "3"], ["4"]]);
  // One question is under way at a time, and what came is not asked for again.
  expect(asked).toEqual([0]);
  // At the end of the log there is nothing to ask for.
  expect([take(2), asked]).toEqual([[], [0]]);
  broken = new Error("the log is away");
  await events.publish("ann", { type: "t" });
  await news(() => expect([take(2), take(2)]).toEqual([[], []]));
  expect(() => take(2)).toThrow("the log is away");
  expect(asked).toEqual([0, 5]);
  followed.close();
});
