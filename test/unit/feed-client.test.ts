// What the follower of a feed makes of refusals and late answers, beside members that a test plays: which member's word
// counts, and when everything that was cached is given up.

import { expect, test } from "bun:test";
import type { EdgeState } from "../../src/cache/edge-state.ts";
import { FeedClient } from "../../src/cache/feed-client.ts";
import type { FeedAnswer } from "../../src/cache/feed-frames.ts";
import { Freshness } from "../../src/cache/freshness.ts";
import { Fault, type FaultCode } from "../../src/lib/fault.ts";
import { pause } from "../../src/lib/pause.ts";
import { openSleepClock } from "../../src/lib/sleep-clock.ts";
import { eventually } from "../kit/eventually.ts";

const EPOCH = "00000000ab";
const good: Turn = async () => {
  await Bun.sleep(5);
  return answerAt(7);
};
const silent: Turn = () => new Promise<never>(() => {});
const refuses =
  (code: FaultCode, fromPeer = true): Turn =>
  async () => {
    await Bun.sleep(5);
    throw new Fault(code, "refused", { facts: fromPeer ? { fromPeer } : {} });
  };

type Turn = () => Promise<unknown>;

function answerAt(seq: number): FeedAnswer {
  const proof = { more: false, heldMs: 0, ageMs: 0, epochs: null, terms: null };
  return { epoch: EPOCH, position: `${EPOCH}-${seq}`, items: [], ...proof };
}

/** A client beside members, the nearest first, which answer as `turns` says at that moment. */
function follow(turns: Record<string, Turn>, endsAtStop = true) {
  /** A member that is none any more, although it goes on to answer. */
  const gone = { node: "" };
  const did: string[] = [];
  const asked: string[] = [];
  const state = {
    request: () => ({ since: null, holdMs: 0, epoch: "", spaces: [], terms: "" }),
    apply: (_answer: FeedAnswer, { from }: { from: string }) => void did.push(`apply ${from}`),
    markGap: () => void did.push("gap"),
    reset: () => void did.push("reset"),
    log: { sameHistory: ({ epoch }: { epoch: string }) => epoch === EPOCH },
  };
  const client = new FeedClient({
    state: state as unknown as EdgeState,
    freshness: new Freshness(openSleepClock(), Date.now),
    nodes: () => Object.keys(turns).filter((node) => node !== gone.node),
    roundTripMs: (node) => 1 + Object.keys(turns).indexOf(node),
    graceMs: 100,
    ask: (node, _request, { timeoutMs, signal }) => {
      asked.push(node);
      const late = pause(timeoutMs, endsAtStop ? signal : undefined).then(() => {
        throw new Fault("unavailable", "no answer");
      });
      return Promise.race([turns[node]?.(), late]);
    },
  });
  client.start();
  const count = (what: string) => did.filter((each) => each === what).length;
  const askedOf = (node: string) => asked.filter((each) => each === node).length;
  return { client, turns, gone, did, count, askedOf };
}

test.each([
  ["below_floor", "gap"],
  ["history_forked", "reset"],
] as const)("%s counts as the word of the member, not of the way to it", async (code, what) => {
  const { client, count, askedOf, turns } = follow({ one: refuses(code, false) });
  await eventually("it to be asked", () => askedOf("one") >= 2);
  expect(count(what)).toBe(0);
  turns["one"] = refuses(code);
  await eventually(what, () => count(what) > 0);
  await client.stop();
});

test("one member that does not know this edge ends nothing while another one knows it", async () => {
  const { client, turns, count } = follow({ one: good, other: good });
  await eventually("it to follow", () => count("apply one") > 0);
  turns["one"] = refuses("not_a_member");
  await eventually("it to follow the other", () => count("apply other") > 3);
  expect(count("reset")).toBe(0);
  await client.stop();
});

test("a refusal of one member does not count with that of another one, which took the edge in between", async () => {
  const { client, turns, count, askedOf } = follow({ one: refuses("not_a_member"), other: good });
  await eventually("it to follow the other", () => count("apply other") > 3);
  // It may be asked again by now.
  await Bun.sleep(400);
  turns["one"] = good;
  turns["other"] = refuses("not_a_member");
  const asked = askedOf("other");
  await eventually("it to follow the first", () => askedOf("other") > asked && count("apply one") > 3);
  expect(count("reset")).toBe(0);
  await client.stop();
});

test("everything is given up once all that can be asked refuse it, whatever becomes of those that cannot", async () => {
  const { client, turns, count } = follow({ dead: silent, one: good });
  await eventually("it to follow", () => count("apply one") > 3);
  expect(count("reset")).toBe(0);
  turns["one"] = refuses("not_a_member");
  await eventually("everything to be given up", () => count("reset") > 0);
  await client.stop();
});

test("a member that is none any more is left, and what it had said of positions is forgotten", async () => {
  const { client, turns, gone, count, askedOf } = follow({ one: good });
  await eventually("it to follow", () => count("apply one") > 0);
  gone.node = "one";
  await Bun.sleep(50);
  const asked = askedOf("one");
  await Bun.sleep(100);
  expect(askedOf("one")).toBe(asked);
  turns["two"] = refuses("unavailable");
  await eventually("the new one to be asked", () => askedOf("two") > 0);
  await Bun.sleep(20);
  expect(client.sawElsewhere({ epoch: EPOCH, seq: 7 }, "two")).toBe(false);
  await client.stop();
});

test("an answer that comes after the stop is not applied", async () => {
  const held = Promise.withResolvers<unknown>();
  const { client, did, askedOf } = follow({ one: () => held.promise }, false);
  await eventually("it to be asked", () => askedOf("one") === 1);
  const stopped = client.stop();
  held.resolve(answerAt(7));
  await stopped;
  expect(did).toEqual([]);
});

test("a position is seen elsewhere only in the feed of another member and in this history", async () => {
  const { client, count } = follow({ one: good });
  await eventually("it to follow", () => count("apply one") > 0);
  const seen = (epoch: string, seq: number, by: string) => client.sawElsewhere({ epoch, seq }, by);
  expect([seen(EPOCH, 7, "x"), seen(EPOCH, 8, "x"), seen(EPOCH, 7, "one"), seen("00000000cd", 7, "x")]).toEqual([
    true,
    false,
    false,
    false,
  ]);
  await client.stop();
});
