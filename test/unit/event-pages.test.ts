// Pages of events: bounded by bytes as well as by number, and none that passes over what retention removed meanwhile.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { readPage } from "../../src/features/event/read-events.ts";
import { type EventRow, eventsAfter, eventsBefore } from "../../src/features/event/rows.ts";
import { type Events, startEvents } from "../kit/events.ts";
import { refusal } from "../kit/refusal.ts";

let events: Events;
beforeEach(() => {
  events = startEvents();
});
afterEach(() => events[Symbol.asyncDispose]());

const ids = (list: readonly { id: string }[]) => list.map(({ id }) => id);
const offsets = (list: readonly { offset: number }[]) => list.map(({ offset }) => offset);
const LARGE = "x".repeat(600_000);

async function publishLarge(count: number): Promise<string> {
  const { cursor } = await events.list();
  for (let at = 1; at <= count; at++)
    await events.publish("ann", { type: at % 2 ? "odd" : "even", id: `${at}`, data: LARGE });
  return cursor;
}

test("a step reads no more large events than a page has", async () => {
  const { reader } = events.core.store;
  await publishLarge(7);
  expect(offsets(eventsAfter(reader, 0, 256))).toEqual([1, 2]);
  expect(offsets(eventsBefore(reader, 8, 256))).toEqual([7, 6]);
  expect(offsets(eventsAfter(reader, 5, 1))).toEqual([6]);
});

test("reads of large events go on to the last one, also where few of them are wanted", async () => {
  const start = await publishLarge(7);
  const types = ["even"];
  expect(ids((await events.list({ since: start, types, limit: 1000 })).events)).toEqual(["2"]);
  const seen: string[] = [];
  for (let since = start, more = true; more; ) {
    const page = await events.list({ since, types });
    seen.push(...ids(page.events));
    ({ cursor: since, more } = page);
  }
  expect(seen).toEqual(["2", "4", "6"]);
  expect(ids((await events.list({ types: ["odd"] })).events)).toEqual(["7"]);
  expect((await events.list({ since: start, types: ["none"] })).more).toBe(false);
  expect(ids((await events.wait({ since: start, types: ["even"] })).events)).toEqual(["2"]);
  const none = await events.wait({ since: start, types: ["none"], timeout_seconds: 0 });
  expect([none.events, none.cursor.split("-e")[1]]).toEqual([[], "7"]);
});

test("a page ends where retention removed events while it was read, and its cursor is refused", async () => {
  await events.publishMany(
    "ann",
    Array.from({ length: 600 }, (_, at) => ({ type: "t", id: `${at + 1}` })),
  );
  const { reader } = events.core.store;
  let floor = 0;
  const source = {
    next: (at: number, max: number) => {
      const step = eventsAfter(reader, Math.max(at, floor), max);
      floor = 512;
      return step;
    },
    rowOf: (row: EventRow) => row,
    isChosen: () => true,
  };
  const context = { spend: () => {}, signal: new AbortController().signal };
  const page = await readPage(source, 0, 1000, context);
  expect([page.found.length, page.at, page.more]).toEqual([256, 256, true]);
  events.limits.events.keepCount = 10;
  await events.retain();
  const { epoch } = events.core.log.position();
  expect((await refusal(events.list({ since: `${epoch}-e${page.at}` }))).code).toBe("below_floor");
});
