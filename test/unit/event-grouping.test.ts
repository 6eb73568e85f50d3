// Events that a target gets together: one message at once, what comes meanwhile in the next, so many an hour, and what
// was left out is counted. Nothing is done with before it was sent.

import { expect, test } from "bun:test";
import type { Outcome } from "../../src/features/event/subscription/delivery.ts";
import { type Group, givenUp } from "../../src/features/event/subscription/grouping.ts";
import type { RunningSubscription } from "../../src/features/event/subscription/running.ts";
import { quiet } from "../kit/outbox-world.ts";

const RULE = { everyMs: 30_000, perHour: 3, shown: 4 };
const delivered: Outcome = { result: "delivered", detail: "" };

/** Appends events of the space at these times in seconds, and returns what was sent by the end. */
async function play(
  times: readonly number[],
  seconds: number,
  answer: (offset: number, second: number) => Outcome = () => delivered,
  policy: RunningSubscription["policy"] = "peer",
) {
  const all = quiet([{ policy }], (_id, offset) => answer(offset, all.world.clock.now / 1000), RULE);
  const { world, outbox, deliveries, records } = all;
  const ends = new AbortController();
  const done = outbox.run(ends.signal);
  const until = (second: number) => world.clock.runUntil(() => world.clock.now >= 1000 * second, 1000 * second);
  for (const [index, second] of times.entries()) {
    await until(second);
    world.append(1);
    world.events[index] = { ...(world.events[index] as (typeof world.events)[number]), space: "a" };
  }
  await until(seconds);
  ends.abort();
  await done;
  const messages = deliveries.map(({ at, delivery }) => ({
    second: Math.round(at / 1000),
    offsets: [delivery.offset, ...(delivery.others ?? []).map(({ id }) => Number(id.slice(1)))],
    leftOut: delivery.leftOut ?? 0,
  }));
  return { messages, records: records.flat(), queue: outbox };
}

test("an event is sent at once, and those of the next half minute together", async () => {
  const { messages, records } = await play([1, 5, 10, 40], 100);
  expect(messages).toEqual([
    { second: 1, offsets: [1], leftOut: 0 },
    { second: 31, offsets: [2, 3], leftOut: 0 },
    { second: 61, offsets: [4], leftOut: 0 },
  ]);
  // The place moves only once they were sent.
  expect(records.map(({ cursor }) => cursor).filter((cursor) => cursor === 2)).toEqual([]);
  expect(records.at(-1)?.cursor).toBe(4);
});

test("beyond so many messages an hour what comes is counted, and said in one message", async () => {
  const times = Array.from({ length: 60 }, (_, index) => 1 + 20 * index);
  const { messages } = await play(times, 3700);
  expect(messages.map(({ second }) => second)).toEqual([1, 31, 61, 3601]);
  const last = messages.at(-1);
  expect(last?.offsets).toHaveLength(RULE.shown);
  const all = messages.reduce((sum, { offsets, leftOut }) => sum + offsets.length + leftOut, 0);
  expect(all).toBe(60);
  expect(last?.leftOut).toBeGreaterThan(40);
});

test("a message that fails is tried again as it is, and its events are dead letters where it is given up", async () => {
  const down: Outcome = { result: "failed", detail: "down" };
  let attempts = 0;
  const again = await play([1, 5, 10], 120, (offset) => (offset === 2 && ++attempts < 3 ? down : delivered));
  expect(again.messages.map(({ offsets }) => offsets)).toEqual([[1], [2, 3], [2, 3], [2, 3]]);
  expect(again.records.filter(({ failing }) => failing !== undefined).map(({ cursor }) => cursor)).toEqual([1, 1]);
  const refused: Outcome = { result: "refused", status: 400, detail: "no" };
  const given = await play([1, 5, 6, 7, 8, 9], 600, (offset) => (offset === 2 ? refused : delivered));
  const dead = given.records.flatMap(({ dead: letters = [] }) => letters.map(({ offset }) => offset));
  // What would only have been counted too: nobody was told of it.
  expect(dead).toEqual([2, 3, 4, 5, 6]);
  expect(given.records.at(-1)?.cursor).toBe(6);
});

test("a sink that was down for an hour is told within minutes of its return, each event once, and nothing is lost", async () => {
  const DOWN = { from: 100, until: 3700 };
  const down: Outcome = { result: "failed", detail: "connection refused" };
  const times = [1, 120, 600, 1800, 3000];
  const { messages, records } = await play(
    times,
    7300,
    (_offset, second) => (second >= DOWN.from && second < DOWN.until ? down : delivered),
    "notify",
  );
  const told = messages.filter(({ second }) => second < DOWN.from || second >= DOWN.until);
  expect(told.map(({ offsets, leftOut }) => [offsets, leftOut])).toEqual([
    [[1], 0],
    [[2], 0],
    [[3, 4, 5], 0],
  ]);
  // Waits are spread by a tenth.
  expect(told[1]?.second).toBeLessThan(DOWN.until + 331);
  expect(told[2]?.second).toBeLessThan(DOWN.until + 331 + 31);
  expect(records.flatMap(({ dead = [] }) => dead)).toEqual([]);
  expect(records.at(-1)?.cursor).toBe(5);
});

test("people are told of nothing that is older than a day: it becomes dead letters", async () => {
  const down: Outcome = { result: "failed", detail: "connection refused" };
  const { records } = await play([1], 30 * 3600, () => down, "notify");
  const letters = records.flatMap(({ dead = [] }) => dead);
  expect(letters).toMatchObject([{ offset: 1, attempts: 293 }]);
});

test("of a group that is given up no event is passed over, though more were left out than become letters", () => {
  const group = { first: { offset: 5 }, others: [{ offset: 6 }], missed: 0 } as unknown as Group;
  const left = [7, 8, 9];
  expect(givenUp({ ...group, leftOut: 3, left, seen: 12 })).toEqual({ offsets: [5, 6, 7, 8, 9], at: 12 });
  expect(givenUp({ ...group, leftOut: 5, left, seen: 12 })).toEqual({ offsets: [5, 6, 7, 8, 9], at: 9 });
});
