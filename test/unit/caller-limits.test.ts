// The limits of one caller (security.md 24): which grant decides, which caller has none, and what a forwarding member
// may send.

import { expect, test } from "bun:test";
import type { Caller } from "../../src/access/caller.ts";
import { parseGrants } from "../../src/access/rights.ts";
import { TokenBuckets } from "../../src/lib/token-bucket.ts";
import { LimitedCallers } from "../../src/operation/caller-limits.ts";
import { callerWith, localAdmin } from "../kit/core.ts";

/** Limits with a clock that does not move. */
const limited = (requestsPerMinute: number, streamsPerCaller = 2) =>
  new LimitedCallers({ requestsPerMinute, streamsPerCaller }, () => 0);

const grants = (...perMinute: (number | undefined)[]) =>
  parseGrants(
    perMinute.map((count) => ({
      role: "reader",
      spaces: ["*"],
      ...(count !== undefined && { limits: { requests_per_minute: count } }),
    })),
    "The test",
  ).grants;

/** Returns how many requests are taken before one is refused, up to 200. */
function taken(request: () => void): number {
  for (let count = 0; count < 200; count += 1) {
    try {
      request();
    } catch (error) {
      expect(error).toMatchObject({ code: "rate_limited" });
      return count;
    }
  }
  return 200;
}

const ann = callerWith({ login: "ann@example.com" });

test.each([
  ["the node's, without one of its own", 5, grants(undefined), 5],
  ["that of its grant, above the node's", 5, grants(8), 8],
  ["that of its grant, below the node's", 5, grants(3), 3],
  ["that of its grant, where the node has none", 0, grants(3), 3],
  ["the most generous of its grants", 5, grants(3, 9, 4), 9],
  ["the node's, if that is the most generous", 5, grants(3, undefined), 5],
  ["none, where one grant has none and the node neither", 0, grants(3, undefined), 200],
])("the limit of a caller is %s", (_name, ofNode, given, count) => {
  const callers = limited(ofNode);
  expect(taken(() => callers.request(ann, given))).toBe(count);
});

test("each caller has a limit of its own; only the admin on this machine has none", () => {
  const callers = limited(5);
  const other = (caller: Partial<Caller>) => taken(() => callers.request(callerWith(caller), grants(undefined)));
  expect(other({ login: "ann@example.com" })).toBe(5);
  expect(other({ login: "ann@example.com", id: "nTABLET" })).toBe(0);
  expect(other({ login: "bob@example.com" })).toBe(5);
  expect(other({ kind: "local", id: "local:bridge", login: "" })).toBe(5);
  expect(other({ kind: "local", id: "local@nBERLIN", login: "" })).toBe(5);
  // A device that is called like the local socket is none.
  expect(other({ kind: "tagged", id: "local", login: "" })).toBe(5);
  expect(taken(() => callers.request(localAdmin, grants(undefined)))).toBe(200);
});

test("a member may forward for twenty callers, which count for themselves too", () => {
  const callers = limited(3);
  expect(taken(() => callers.forwarded("nEDGE"))).toBe(60);
  expect(taken(() => callers.request(ann, grants(undefined)))).toBe(3);
  const unlimited = limited(0);
  expect(taken(() => unlimited.forwarded("nEDGE"))).toBe(200);
});

test("streams are counted for each caller until they end", () => {
  const callers = limited(0);
  const ends = [callers.holdStream(ann), callers.holdStream(ann)];
  expect(() => callers.holdStream(ann)).toThrow("already has 2 streams");
  callers.holdStream(callerWith({ login: "bob@example.com" }));
  expect(callers.openStreams).toBe(3);
  ends[0]?.();
  ends[0]?.();
  expect(callers.openStreams).toBe(2);
  callers.holdStream(ann);
  expect(() => callers.holdStream(ann)).toThrow("already has 2 streams");
});

test("at the limit the oldest wait of the caller gives way, to a wait or a stream; streams never do", () => {
  const callers = limited(0);
  const bobs = callers.holdWait(callerWith({ login: "bob@example.com" }));
  const [first, second] = [callers.holdWait(ann), callers.holdWait(ann)];
  const third = callers.holdWait(ann);
  expect([first.signal.aborted, second.signal.aborted]).toEqual([true, false]);
  expect(first.signal.reason).toMatchObject({ code: "rate_limited" });
  // What gave way holds no place that it could give back.
  first.release();
  expect(callers.openStreams).toBe(3);
  callers.holdStream(ann);
  expect([second.signal.aborted, third.signal.aborted]).toEqual([true, false]);
  third.release();
  callers.holdStream(ann);
  expect(() => callers.holdStream(ann)).toThrow("already has 2 streams");
  expect(() => callers.holdWait(ann)).toThrow("already has 2 streams");
  expect(bobs.signal.aborted).toBe(false);
});

test("however costly a request was, its caller waits for a minute's worth of tokens and the next one", () => {
  const buckets = new TokenBuckets({ maxKeys: 1, nowMs: () => 0 });
  expect(buckets.take("ann", 60)).toBe(0);
  buckets.owe("ann", 60, 1_000_000);
  expect(buckets.take("ann", 60)).toBe(61_000);
});
