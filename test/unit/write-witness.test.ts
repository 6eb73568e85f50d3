// The second member that must have a forwarded write before an edge reports it as done (security.md 8): whom the edge
// asks, what counts as proof, and when there is none.

import { expect, test } from "bun:test";
import type { FeedAnswer } from "../../src/cache/feed-frames.ts";
import { WriteWitness, type WriteWitnessOptions } from "../../src/cache/write-witness.ts";
import { Fault } from "../../src/lib/fault.ts";
import { startEdgePair } from "../kit/edge.ts";

const EPOCH = "0".repeat(10);
const WRITE = `${EPOCH}-7`;
const never = new AbortController().signal;

const at = (seq: number): FeedAnswer => ({
  ...{ epoch: EPOCH, position: `${EPOCH}-${seq}`, items: [], more: false, heldMs: 0, ageMs: null },
  ...{ epochs: null, terms: null },
});
const silent = new Fault("unavailable", "away", {});
const refusal = new Fault("history_forked", "not yet", { facts: { fromPeer: true } });

/** A witness of an edge that follows "by". Members answer in the order of their lists; the last answer is repeated. */
async function witness(answers: Record<string, (FeedAnswer | Fault)[]>, options: Partial<WriteWitnessOptions> = {}) {
  const pair = startEdgePair({});
  const asked: string[] = [];
  const near: Record<string, number> = { by: 1, far: 30, near: 10 };
  const found = new WriteWitness({
    log: pair.edge.log,
    client: { upstream: () => undefined, isDisconnected: () => false, sawElsewhere: () => false },
    nodes: () => ["by", "far", "near", "unheard"],
    roundTripMs: (node) => near[node],
    withinMs: 400,
    ask: (node, request) => {
      asked.push(`${node} since ${request.since}`);
      const list = answers[node] ?? [silent];
      const answer = list.length > 1 ? list.shift() : list[0];
      return answer instanceof Fault ? Promise.reject(answer) : Promise.resolve(answer);
    },
    ...options,
  });
  return { asked, find: () => found.find(WRITE, "by", never), [Symbol.asyncDispose]: pair.close };
}

const following = (node: string, isDisconnected = false) => ({
  upstream: () => ({ node }) as ReturnType<WriteWitnessOptions["client"]["upstream"]>,
  isDisconnected: () => isDisconnected,
  sawElsewhere: () => false,
});

test("the nearest other member that has the position is proof, never the one that reported it", async () => {
  await using edge = await witness({ near: [at(7)] }, { client: following("by") });
  expect([await edge.find(), edge.asked]).toEqual(["seen", [`near since ${WRITE}`]]);
});

test("the edge's own feed from another member is proof, and no one is asked", async () => {
  const client = { ...following("far"), sawElsewhere: () => true };
  await using edge = await witness({}, { client });
  expect([await edge.find(), edge.asked]).toEqual(["seen", []]);
});

test("a member that is behind or refuses is asked again, until it has the position or the time is over", async () => {
  const slow = { client: following("by"), withinMs: 20_000 };
  await using late = await witness({ near: [at(6), refusal, at(8)] }, slow);
  expect([await late.find(), late.asked.length]).toEqual(["seen", 3]);
  await using behind = await witness({ near: [at(6)] }, { client: following("by") });
  expect([await behind.find(), new Set(behind.asked)]).toEqual(["unseen", new Set([`near since ${WRITE}`])]);
});

test("members that do not answer are passed over; where none is left, no member can contradict", async () => {
  await using passed = await witness({ far: [at(7)] }, { client: following("by") });
  expect([await passed.find(), passed.asked]).toEqual(["seen", [`near since ${WRITE}`, `far since ${WRITE}`]]);
  await using none = await witness({}, { client: following("by") });
  expect([await none.find(), none.asked.length]).toEqual(["alone", 2]);
  await using only = await witness({}, { client: following("by"), nodes: () => ["by"] });
  expect([await only.find(), only.asked]).toEqual(["alone", []]);
});

test("while the feed comes from another member it is waited for; without a feed members are asked", async () => {
  await using followed = await witness({ near: [at(7)] }, { client: following("far") });
  expect([await followed.find(), followed.asked]).toEqual(["unseen", []]);
  await using cut = await witness({ near: [at(7)] }, { client: following("far", true) });
  expect([await cut.find(), cut.asked.length]).toEqual(["seen", 1]);
});
