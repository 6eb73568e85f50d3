// event_position: the places of readers that keep no cursor themselves.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { type Events, sender, startEvents } from "../kit/events.ts";
import { refusal } from "../kit/refusal.ts";

let events: Events;
beforeEach(() => {
  events = startEvents();
});
afterEach(() => events[Symbol.asyncDispose]());

const reader = (who: string) => sender(who, { role: "reader", spaces: ["default"] });
const position = async (input: Record<string, unknown>, who = "argo") =>
  (await events.core.call("event_position", { reader: "prod", ...input }, reader(who)))["cursor"] as string;

test("a reader begins with the next event, and goes on from what it kept", async () => {
  const first = await events.publish("ann", { type: "t" });
  expect(await position({})).toBe(first.cursor);
  const second = await events.publish("ann", { type: "t" });
  const third = await events.publish("ann", { type: "t" });
  expect(await position({})).toBe(first.cursor);
  const behind = await events.list({ since: await position({}) });
  expect(behind.events.map(({ cairnposition }) => cairnposition)).toEqual([second.cursor, third.cursor]);
  expect(await position({ cursor: third.cursor })).toBe(third.cursor);
  expect(await position({})).toBe(third.cursor);
  expect(await position({ cursor: second.cursor })).toBe(second.cursor);
});

test("positions are of their caller, make no change, and can be removed", async () => {
  const { seq } = events.core.log.position();
  const { cursor } = await events.publish("ann", { type: "t" });
  const before = events.core.log.position().seq;
  expect(before).toBe(seq + 1);
  await position({});
  expect(await position({ cursor: cursor.replace(/e1$/, "e0") }, "other")).toMatch(/-e0$/);
  expect(await position({})).toBe(cursor);
  await events.publish("ann", { type: "t" });
  await position({ remove: true });
  expect(await position({})).toMatch(/-e2$/);
  expect(await position({}, "other")).toMatch(/-e0$/);
  expect(events.core.log.position().seq).toBe(before + 1);
});

test("what is no place is refused, and kept nowhere", async () => {
  await events.publish("ann", { type: "t" });
  for (const cursor of ["x", "0123456789-e1"]) expect(await refusal(position({ cursor }))).toBeDefined();
  const { cursor } = await events.publish("ann", { type: "t" });
  const ahead = cursor.replace(/e2$/, "e3");
  expect(await refusal(position({ cursor: ahead }))).toMatchObject({
    code: "invalid_input",
    details: { newest: cursor },
  });
  expect(await refusal(position({ reader: "a b" }))).toMatchObject({ code: "invalid_input" });
  expect(events.core.store.reader.all("SELECT * FROM event_positions")).toEqual([]);
});

test("one caller has a bounded number of them", async () => {
  for (let index = 0; index < 256; index += 1) await position({ reader: `r${index}` });
  expect(await refusal(position({ reader: "one-more" }))).toMatchObject({ code: "quota_exceeded" });
  expect(await position({ reader: "r7" })).toMatch(/-e0$/);
  await position({ reader: "r7", remove: true });
  expect(await position({ reader: "one-more" })).toMatch(/-e0$/);
  expect(await position({ reader: "other-caller" }, "other")).toMatch(/-e0$/);
});
