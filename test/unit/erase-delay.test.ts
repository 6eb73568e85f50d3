// For how long a member waits for others before it erases a purge from its raft log.

import { expect, test } from "bun:test";
import { EraseDelay } from "../../src/membership/erase-delay.ts";
import { heardOf, member } from "../kit/fleet-facts.ts";

function delayed(applied: Record<string, number>, away: string[] = []) {
  const clock = { nowMs: 5_000 };
  const delay = new EraseDelay({
    members: { list: () => [member("a"), member("b"), member("c"), member("e", "edge")] },
    self: () => "n-a",
    beats: {
      isAway: (node) => away.includes(node),
      received: (node) => (applied[node] === undefined ? undefined : heardOf(node, { applied: applied[node] })),
    },
    monotonicMs: () => clock.nowMs,
  });
  return { delay, clock };
}

test("an erasure waits for members that respond and lack the entries, and for no others", () => {
  expect(delayed({ "n-b": 7, "n-c": 9 }).delay.isOver(7)).toBe(true);
  expect(delayed({ "n-b": 6, "n-c": 9 }).delay.isOver(7)).toBe(false);
  expect(delayed({ "n-c": 9 }).delay.isOver(7)).toBe(false);
  expect(delayed({ "n-b": 6, "n-c": 9 }, ["n-b"]).delay.isOver(7)).toBe(true);
});

test("a member that stays behind delays each erasure for a minute", () => {
  const { delay, clock } = delayed({ "n-b": 6, "n-c": 9 });
  expect(delay.isOver(7)).toBe(false);
  clock.nowMs += 60_000;
  expect(delay.isOver(7)).toBe(false);
  clock.nowMs += 1;
  expect(delay.isOver(7)).toBe(true);
  expect(delay.isOver(8)).toBe(false);
  expect(delay.isOver(6)).toBe(true);
});
