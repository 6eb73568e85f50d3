// How old a full member says that its state may be: what a majority and the leader proved, and nothing better. What
// holds in any order of elections, delays and losses is state-age-truth.test.ts.

import { expect, test } from "bun:test";
import type { Answered, Member } from "../../src/fleet/index.ts";
import type { Log } from "../../src/log/log.ts";
import { type Proof, StateAge, StateAgeTracker, type StateFacts } from "../../src/membership/state-age.ts";
import type { RaftState } from "../../src/tailnet/index.ts";

/** What the leader `a` of term 3 says, asked at a moment. */
const led = (askedMs: number, more: Partial<Proof> = {}): Proof => ({ ...said(askedMs), begun: 3, ...more });

const said = (askedMs: number, more: Partial<Proof> = {}): Proof => ({
  askedMs,
  epoch: "e",
  seq: 5,
  raftTerm: 3,
  begun: 0,
  configuration: 7,
  ...more,
});

function facts(nowMs: number, answered: Record<string, Proof>, more: Partial<StateFacts> = {}): StateFacts {
  return {
    nowMs,
    stepMs: 0,
    own: { askedMs: nowMs, raftTerm: 3, configuration: 7 },
    epoch: "e",
    seq: 5,
    voters: ["a", "b", "c"],
    self: "a",
    leader: { node: "a", term: 3 },
    begun: true,
    answered: (node) => answered[node],
    ...more,
  };
}

const FOLLOWER = { self: "b", leader: { node: "a", term: 3 }, begun: false };
const UNKNOWN = Number.POSITIVE_INFINITY;

test("a leader alone is never old; with others it is as old as what a majority answered last", () => {
  expect(new StateAge().of(facts(1000, {}, { voters: ["a"] }))).toBe(0);
  expect(new StateAge().of(facts(1000, {}))).toBe(UNKNOWN);
  expect(new StateAge().of(facts(1000, { b: said(850) }))).toBe(150);
  expect(new StateAge().of(facts(1000, { b: said(300), c: said(800) }))).toBe(200);
});

test("a leader that was paused while another was elected grows older: a later term proves nothing for it", () => {
  const age = new StateAge();
  expect(age.of(facts(1000, { b: said(900), c: said(950) }))).toBe(50);
  const later = { b: said(5000, { raftTerm: 4 }), c: said(5000, { raftTerm: 4 }) };
  expect(age.of(facts(5000, later))).toBe(4050);
});

test("a follower is as old as the last answer of its leader that it had applied, and as its leader's majority", () => {
  const age = new StateAge();
  expect(age.of(facts(1000, { a: led(980), c: said(990) }, FOLLOWER))).toBe(20);
  // Behind: the answer before still counts.
  expect(age.of(facts(2000, { a: led(1980, { seq: 9 }), c: said(1990) }, FOLLOWER))).toBe(1020);
  expect(age.of(facts(2100, { a: led(1980, { seq: 9 }), c: said(1990) }, { ...FOLLOWER, seq: 9 }))).toBe(120);
  // Cut off together with a leader that the other voters do not know any more.
  const five = { ...FOLLOWER, seq: 9, voters: ["a", "b", "c", "d", "e"] };
  expect(age.of(facts(9000, { a: led(8990), c: said(1990), d: said(1980), e: said(1970) }, five))).toBe(7010);
});

test("a leader proves nothing, to others or to itself, before it has applied what was acknowledged before its term", () => {
  const others = { b: said(990), c: said(990) };
  expect(new StateAge().of(facts(1000, others, { begun: false }))).toBe(UNKNOWN);
  for (const begun of [0, 2, 4]) {
    expect(new StateAge().of(facts(1000, { a: led(990, { begun }), c: said(990) }, FOLLOWER))).toBe(UNKNOWN);
  }
  expect(new StateAge().of(facts(1000, { a: led(990), c: said(990) }, FOLLOWER))).toBe(10);
});

test("a voter whose raft could not be asked proves nothing, this one included, and its own word is of when it was asked", () => {
  expect(new StateAge().of(facts(1000, { b: said(990, { raftTerm: undefined }) }))).toBe(UNKNOWN);
  expect(new StateAge().of(facts(1000, { b: said(990) }, { own: undefined }))).toBe(UNKNOWN);
  const own = { askedMs: 400, raftTerm: 3, configuration: 7 };
  expect(new StateAge().of(facts(1000, { b: said(990) }, { own }))).toBe(600);
  // It votes for another leader, of which the log has not heard yet.
  expect(new StateAge().of(facts(1000, { b: said(990) }, { own: { ...own, raftTerm: 4 } }))).toBe(UNKNOWN);
});

test("a leader that counts other voters than this node knows proves nothing yet", () => {
  const newer = led(990, { configuration: 8 });
  expect(new StateAge().of(facts(1000, { a: newer, c: said(990) }, FOLLOWER))).toBe(UNKNOWN);
  const own = { askedMs: 995, raftTerm: 3, configuration: 8 };
  expect(new StateAge().of(facts(1000, { a: newer, c: said(990) }, { ...FOLLOWER, own }))).toBe(10);
});

test("a regional counts voters without being one, and no one leading proves nothing", () => {
  const regional = { ...FOLLOWER, self: "r" };
  expect(new StateAge().of(facts(1000, { a: led(990), b: said(970) }, regional))).toBe(30);
  expect(new StateAge().of(facts(1000, { a: led(990) }, regional))).toBe(UNKNOWN);
  expect(new StateAge().of(facts(1000, { a: led(990), b: said(970) }, { ...regional, leader: undefined }))).toBe(
    UNKNOWN,
  );
});

test("a clock of coarse steps makes nothing younger", () => {
  expect(new StateAge().of(facts(1000, { b: said(850) }, { stepMs: 10 }))).toBe(160);
  expect(new StateAge().of(facts(1000, {}, { voters: ["a"], stepMs: 10 }))).toBe(0);
});

test("a read takes the proved moment before and the clock after it; alone it needs no clock", () => {
  let [nowMs, readings] = [1000, 0];
  const clock = {
    nowMs: () => {
      readings += 1;
      return nowMs;
    },
    since: "test",
    stepMs: 10,
  };
  const member = (node: string) => ({ node, server: node }) as Member;
  const leadership = () => ({ leading: true, server: "a", term: 3 });
  let answered: Answered | undefined;
  const tracker = new StateAgeTracker({
    log: { position: () => ({ epoch: "e", seq: 5 }), leadership } as Log,
    self: () => "a",
    leader: () => member("a"),
    byServer: member,
    answered: () => answered,
    clock,
  });
  tracker.startedLeading(3);
  const record = (...voters: string[]) => {
    const members = voters.map((server) => ({ server, address: "", voter: true }));
    tracker.record({ server: "a", term: 3, configuration: 7, members } as unknown as RaftState, nowMs);
  };
  record("a", "b", "c");
  expect(tracker.fromNow()).toBeUndefined();
  answered = { askedMs: 900, beat: { epoch: "e", seq: 5, configuration: 7, raftTerm: 3 } } as Answered;
  const age = tracker.fromNow();
  // What is proved later says nothing about what was read before.
  answered = { ...answered, askedMs: 4000 };
  nowMs = 5000;
  expect([age?.(), readings]).toEqual([4110, 1]);
  record("a");
  const alone = tracker.fromNow();
  nowMs = 9000;
  expect(alone?.()).toBeLessThan(100);
  expect(readings).toBe(1);
  expect(tracker.ageMs()).toBe(0);
  record("a", "b", "c");
  nowMs = 9500;
  expect(tracker.ageMs()).toBe(510);
});
