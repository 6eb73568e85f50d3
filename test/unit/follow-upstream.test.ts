// Streams of an edge by themselves: what they make of the answers of an upstream, of its failures, and of what it must
// not say. test/unit/session-edge.test.ts has them over a real upstream.

import { expect, test } from "bun:test";
import { Fault } from "../../src/lib/fault.ts";
import type { Admitted } from "../../src/operation/admitted.ts";
import type { ReadOperation } from "../../src/operation/define.ts";
import type { FollowCursor } from "../../src/operation/follow.ts";
import { followUpstream } from "../../src/operation/follow-upstream.ts";
import { eventually } from "../kit/eventually.ts";

type Output = Record<string, unknown>;

const OPERATION = {
  name: "toy_wait",
  waitShape: { items: "events", at: "at", next: "position" },
} as unknown as ReadOperation;

const allow = (): void => {};
const NOTHING: Output = { events: [], position: "e-1" };

/** A stream over these answers, one a wait; the last one is never answered. */
async function streamOver(answers: (Output | Fault)[], input: Output = {}) {
  const asked: Output[] = [];
  const abort = new AbortController();
  const admitted = { call: { signal: abort.signal }, input, given: input } as unknown as Admitted;
  const run = ({ given, call }: Admitted) => {
    asked.push(given);
    const answer = answers.shift();
    if (answer instanceof Fault) return Promise.reject(answer);
    if (answer !== undefined) return Promise.resolve({ output: answer, position: "e-1" });
    return new Promise<never>((_resolve, reject) =>
      call.signal.addEventListener("abort", () => reject(call.signal.reason)),
    );
  };
  const cursor = await followUpstream(OPERATION, admitted, run, { name: "central" });
  return { cursor, asked, close: () => cursor.close?.() };
}

const event = (n: number): Output => ({ at: `e-${n}`, n });

/** Takes until something came. */
const next = (cursor: FollowCursor) =>
  eventually("an item", () => {
    const { items } = cursor.take(10, allow);
    return items.length === 0 ? undefined : items.map(({ value }) => value["n"]);
  });

/** Takes until it fails, and returns with what. */
const failure = (cursor: FollowCursor) =>
  eventually("the end", () => {
    try {
      cursor.take(10, allow);
      return undefined;
    } catch (error) {
      return error instanceof Fault ? `${error.code}: ${error.message}` : String(error);
    }
  });

test("each wait goes on behind the last answer, and its arguments are those of the stream", async () => {
  const answers = [NOTHING, { events: [event(2), event(3)], position: "e-5" }, { events: [event(7)], position: "e-7" }];
  const { cursor, asked, close } = await streamOver(answers, { prefix: "a/" });
  expect(cursor.position).toBe("e-1");
  expect(await next(cursor)).toEqual([2, 3]);
  // Everything of the answer was taken, so its place is that of the answer.
  expect(cursor.position).toBe("e-5");
  expect(await next(cursor)).toEqual([7]);
  await eventually("the last wait", () => asked.length === 4);
  expect(asked).toEqual([
    { prefix: "a/", timeout_seconds: 0, limit: 100 },
    ...["e-1", "e-5", "e-7"].map((since) => ({ prefix: "a/", since, timeout_seconds: 30, limit: 100 })),
  ]);
  close();
});

test("a client that received nothing of what lies behind begins there again", async () => {
  const behind = { events: [event(2), event(3)], position: "e-3" };
  const at = await streamOver([behind], { since: "e-1" });
  expect(at.cursor.position).toBe("e-1");
  expect(at.cursor.take(1, allow)).toEqual({ items: [{ position: "e-2", value: event(2) }], more: true });
  expect(at.cursor.position).toBe("e-2");
  const ofTime = await streamOver([behind], { time: "2026-11-30T00:00:00Z" });
  expect(ofTime.cursor.position).toBe("");
  for (const { close } of [at, ofTime]) close();
});

test("nothing is shown to a caller that may not read it any more", async () => {
  const { cursor, close } = await streamOver([{ events: [event(2)], position: "e-2" }]);
  const refuse = () => {
    throw new Fault("forbidden", "no more");
  };
  expect(() => cursor.take(10, refuse)).toThrow("no more");
  close();
});

test("what is not to be shown moves the place", async () => {
  const { cursor, close } = await streamOver([NOTHING, { events: [], position: "e-40" }]);
  cursor.take(10, allow);
  await eventually("the place", () => cursor.position === "e-40");
  close();
});

test("a limit and a node that cannot be asked are waited for, and nothing is left out", async () => {
  const answers = [
    NOTHING,
    new Fault("rate_limited", "too many"),
    ...["one", "two"].map((word) => new Fault("unavailable", word)),
    { events: [event(2)], position: "e-2" },
    ...["three", "four", "five", "six"].map((word) => new Fault("unavailable", word)),
  ];
  const { cursor, asked, close } = await streamOver(answers);
  expect(await next(cursor)).toEqual([2]);
  expect(asked.slice(1).map(({ since }) => since)).toEqual(["e-1", "e-1", "e-1", "e-1"]);
  // Three times in a row, and then not again.
  expect(await failure(cursor)).toBe("unavailable: six");
  close();
});

test("a refusal ends it at once", async () => {
  const { cursor, asked, close } = await streamOver([NOTHING, new Fault("history_forked", "another history")]);
  expect(await failure(cursor)).toBe("history_forked: another history");
  expect(asked).toHaveLength(2);
  close();
});

test.each<[string, Output]>([
  ["no list", { events: "x", position: "e-2" }],
  ["a list of no objects", { events: [1], position: "e-2" }],
  ["more than was asked for", { events: Array.from({ length: 101 }, (_, n) => event(n)), position: "e-200" }],
  ["an item without a place", { events: [{ n: 1 }], position: "e-2" }],
  ["a place with a line break", { events: [{ at: "e-2\ndata: x" }], position: "e-2" }],
  ["no place to go on from", { events: [] }],
  ["items, and the place before them", { events: [event(2)], position: "e-1" }],
])("an answer that has %s ends it, and is shown to no client", async (_what, answer) => {
  const { cursor, close } = await streamOver([NOTHING, answer]);
  expect(await failure(cursor)).toStartWith("internal: The upstream of this edge gave an answer that cannot be read");
  close();
});

test("answers with nothing in them are asked for at most ten times a second", async () => {
  const { cursor, asked, close } = await streamOver(Array.from({ length: 1000 }, () => NOTHING));
  cursor.take(10, allow);
  await Bun.sleep(350);
  expect(asked.length).toBeLessThanOrEqual(6);
  expect(asked.length).toBeGreaterThan(1);
  close();
  const closed = asked.length;
  await Bun.sleep(150);
  expect(asked).toHaveLength(closed);
});
