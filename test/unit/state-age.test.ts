// How old a full node says that its state may be: what a majority and the leader proved, and nothing better.

import { expect, test } from "bun:test";
import { type HeardState, StateAge, type StateFacts } from "../../src/cache/state-age.ts";

const said = (atMs: number, more: Partial<HeardState> = {}): HeardState => ({
  atMs,
  roundTripMs: 0,
  epoch: "e",
  seq: 5,
  term: 3,
  ...more,
});

function facts(nowMs: number, heard: Record<string, HeardState>, more: Partial<StateFacts> = {}): StateFacts {
  return {
    nowMs,
    epoch: "e",
    seq: 5,
    voters: ["a", "b", "c"],
    self: "a",
    leader: { node: "a", term: 3 },
    heard: (node) => heard[node],
    ...more,
  };
}

test("a leader alone is never old; with others it is as old as what a majority said last", () => {
  expect(new StateAge().of(facts(1000, {}, { voters: ["a"] }))).toBe(0);
  expect(new StateAge().of(facts(1000, {}))).toBe(Number.POSITIVE_INFINITY);
  expect(new StateAge().of(facts(1000, { b: said(900, { roundTripMs: 50 }) }))).toBe(150);
  expect(new StateAge().of(facts(1000, { b: said(300), c: said(800) }))).toBe(200);
});

test("a leader that was paused while another was elected grows older: a later term proves nothing for it", () => {
  const age = new StateAge();
  expect(age.of(facts(1000, { b: said(900), c: said(950) }))).toBe(50);
  const later = { b: said(5000, { term: 4 }), c: said(5000, { term: 4 }) };
  expect(age.of(facts(5000, later))).toBe(4050);
});

test("a follower is as old as the last beat of its leader that it had applied, and as its leader's majority", () => {
  const age = new StateAge();
  const follower = { self: "b", leader: { node: "a", term: 3 } };
  expect(age.of(facts(1000, { a: said(980), c: said(990) }, follower))).toBe(20);
  // Behind: the beat before still counts.
  expect(age.of(facts(2000, { a: said(1980, { seq: 9 }), c: said(1990) }, follower))).toBe(1020);
  expect(age.of(facts(2100, { a: said(1980, { seq: 9 }), c: said(1990) }, { ...follower, seq: 9 }))).toBe(120);
  // Cut off together with a leader that the other voters do not know any more.
  const five = { ...follower, seq: 9, voters: ["a", "b", "c", "d", "e"] };
  expect(age.of(facts(9000, { a: said(8990), c: said(1990), d: said(1980), e: said(1970) }, five))).toBe(7010);
});

test("a regional counts voters without being one, and nobody leading proves nothing", () => {
  const regional = { self: "r", leader: { node: "a", term: 3 } };
  expect(new StateAge().of(facts(1000, { a: said(990), b: said(970) }, regional))).toBe(30);
  expect(new StateAge().of(facts(1000, { a: said(990) }, regional))).toBe(Number.POSITIVE_INFINITY);
  expect(new StateAge().of(facts(1000, { a: said(990), b: said(970) }, { ...regional, leader: undefined }))).toBe(
    Number.POSITIVE_INFINITY,
  );
});
