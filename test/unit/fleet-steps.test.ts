// What the leader changes next: every way the members table and raft's configuration can differ, run to its end step by
// step on a small model of raft.

import { describe, expect, test } from "bun:test";
import { faultToleranceText } from "../../src/fleet/fault-tolerance.ts";
import { type Candidate, handover, medianOf } from "../../src/fleet/lead/handover.ts";
import { nextStep, type ServerFacts, type Situation, voterCount, wantedVoters } from "../../src/fleet/lead/plan.ts";
import type { Member } from "../../src/fleet/rows.ts";

const GOOD: ServerFacts = { alive: true, lost: false, keptUp: 3, configuration: 1 };
const DEAD: ServerFacts = { ...GOOD, alive: false, keptUp: 0 };

function member(server: string, role: Member["role"] = "central", state: Member["state"] = "active"): Member {
  return { node: `n-${server}`, server, name: server, role, state, spaces: [], level: 1, version: "1", joinedMs: 0 };
}

/** A fleet whose raft does at once what it is told. `raft` lists servers, voters in capitals. */
class Model {
  readonly members: Member[];
  raft: { server: string; voter: boolean }[];
  self: string;
  facts: Record<string, Partial<ServerFacts>> = {};
  steps: string[] = [];

  constructor(self: string, raft: string, members: readonly Member[]) {
    this.self = self;
    this.raft = raft
      .split("")
      .map((letter) => ({ server: letter.toLowerCase(), voter: letter !== letter.toLowerCase() }));
    this.members = [...members];
  }

  situation(): Situation {
    const state = {
      server: this.self,
      leading: true,
      leader: this.self,
      term: 2,
      last: 9,
      commit: 9,
      applied: 9,
      snapshot: 0,
      configuration: 1,
      members: this.raft,
      fsyncP99Ms: 1,
      fsyncSamples: 512,
      electionsIn10Min: 1,
      refused: [],
    };
    return { state, members: this.members, facts: (server) => ({ ...GOOD, ...this.facts[server] }) };
  }

  /** Takes steps until there is none; answers them. */
  run(): string {
    for (let count = 0; count < 50; count += 1) {
      const step = nextStep(this.situation());
      if (step === undefined) return this.steps.join(" ");
      this.steps.push(`${step.do}:${step.server}`);
      if (step.do === "transfer") this.self = step.server;
      else if (step.do === "add") this.raft.push({ server: step.server, voter: false });
      else if (step.do === "remove") this.raft = this.raft.filter(({ server }) => server !== step.server);
      else if (step.do === "forget")
        this.members.splice(
          this.members.findIndex(({ node }) => node === step.node),
          1,
        );
      else for (const each of this.raft) if (each.server === step.server) each.voter = step.do === "promote";
      expect(this.raft.some(({ voter }) => voter)).toBe(true);
      expect(this.raft.some(({ server }) => server === this.self)).toBe(true);
    }
    throw new Error(`no end: ${this.steps.join(" ")}`);
  }

  shape(): string {
    return this.raft
      .map(({ server, voter }) => (voter ? server.toUpperCase() : server))
      .sort()
      .join("");
  }
}

const [a, b, c, d, e, f] = ["a", "b", "c", "d", "e", "f"].map((server) => member(server)) as [
  Member,
  Member,
  Member,
  Member,
  Member,
  Member,
];

test.each([
  [0, 0],
  [1, 1],
  [2, 1],
  [3, 3],
  [4, 3],
  [5, 5],
  [9, 5],
])("of %d centrals %d vote", (centrals, voters) => {
  expect(voterCount(centrals)).toBe(voters);
});

describe("steps", () => {
  test("a fleet of one before its first row is left alone", () => {
    expect(new Model("a", "A", []).run()).toBe("");
  });

  test("a regional is added, and never votes", () => {
    const model = new Model("a", "A", [a, member("b", "regional")]);
    expect([model.run(), model.shape()]).toEqual(["add:b", "Ab"]);
  });

  test("of two centrals one waits as a standby", () => {
    const model = new Model("a", "A", [a, b]);
    expect([model.run(), model.shape()]).toEqual(["add:b", "Ab"]);
  });

  test("the third central makes three voters, once both kept up", () => {
    const model = new Model("a", "Abc", [a, b, c]);
    model.facts["c"] = { keptUp: 2 };
    expect(model.run()).toBe("");
    model.facts = {};
    expect([model.run(), model.shape()]).toEqual(["promote:b promote:c", "ABC"]);
  });

  test("no one is promoted before every voter and the candidate have the newest configuration", () => {
    const model = new Model("a", "ABcd", [a, b, c, d, e]);
    model.raft.push({ server: "e", voter: false });
    for (const [behind, next] of [["b"], ["c"], ["d", "c"]]) {
      model.facts = { [behind ?? ""]: { configuration: 0 } };
      expect([behind, nextStep(model.situation())?.server]).toEqual([behind, next]);
    }
    model.facts = {};
    model.run();
    expect(model.shape()).toBe("ABCDE");
  });

  test("a sixth central waits", () => {
    const model = new Model("a", "ABCDE", [a, b, c, d, e, f]);
    model.run();
    expect(model.shape()).toBe("ABCDEf");
  });

  test("a voter that was lost long is replaced by a standby that keeps up: out first, in then", () => {
    const model = new Model("a", "ABCd", [a, b, c, d]);
    model.facts["c"] = DEAD;
    expect(model.run()).toBe("");
    model.facts["c"] = { ...DEAD, lost: true };
    expect([model.run(), model.shape()]).toEqual(["demote:c promote:d", "ABDc"]);
  });

  test("without a standby a lost voter stays: fewer voters would survive no more", () => {
    const model = new Model("a", "ABC", [a, b, c]);
    model.facts["c"] = { ...DEAD, lost: true };
    expect(model.run()).toBe("");
  });

  test("of five voters two are lost and one standby is there: it votes, though one of the lost still counts", () => {
    const model = new Model("a", "ABCDEf", [a, b, c, d, e, f]);
    const lost = { ...DEAD, lost: true, configuration: 0 };
    model.facts = { d: lost, e: lost };
    expect([model.run(), model.shape()]).toEqual(["demote:e promote:f", "ABCDFe"]);
  });

  test("two voters wait for a third no longer than ten minutes; when it is back, three vote", () => {
    const model = new Model("a", "ABc", [a, b, c]);
    model.facts["c"] = DEAD;
    expect([model.run(), model.shape()]).toEqual(["", "ABc"]);
    model.facts["c"] = { ...DEAD, lost: true };
    expect([model.run(), model.shape()]).toEqual(["demote:b", "Abc"]);
    model.facts = {};
    expect([model.run(), model.shape()]).toEqual(["demote:b promote:b promote:c", "ABC"]);
  });

  test("a wiped disk: the old server goes, the new one comes in without a vote and gets it back when it kept up", () => {
    const model = new Model("a", "ABC", [a, b, { ...c, server: "x" }]);
    model.facts = { c: { ...DEAD, lost: true }, x: { keptUp: 0 } };
    expect([model.run(), model.shape()]).toEqual(["add:x demote:c remove:c", "ABx"]);
    model.facts = {};
    expect([model.run(), model.shape()]).toEqual(["add:x demote:c remove:c promote:x", "ABX"]);
  });

  test("a voter leaves: demoted, removed, forgotten, and of two centrals one votes", () => {
    const model = new Model("a", "ABC", [a, b, member("c", "central", "leaving")]);
    expect([model.run(), model.shape()]).toEqual(["demote:c demote:b remove:c forget:c", "Ab"]);
  });

  test("a leader that leaves hands over first", () => {
    const model = new Model("a", "ABC", [member("a", "central", "leaving"), b, c]);
    model.run();
    expect(model.steps[0]).toBe("transfer:b");
    expect([model.shape().toLowerCase(), model.members.length]).toEqual(["bc", 2]);
    expect(model.raft.filter(({ voter }) => voter)).toHaveLength(1);
  });

  test("the only voter leaves once the standby votes", () => {
    const model = new Model("a", "Ab", [member("a", "central", "leaving"), b]);
    expect([model.run(), model.shape()]).toEqual(["promote:b transfer:b demote:a remove:a forget:a", "B"]);
  });

  test("no voter is demoted when most of the rest are not heard", () => {
    const model = new Model("a", "ABCd", [a, b, member("c", "central", "leaving"), d]);
    model.facts = { b: DEAD, d: { keptUp: 1 } };
    expect(model.run()).toBe("");
  });

  test("the leader stays a voter where it may, so that it need not hand over", () => {
    const model = new Model("b", "ABC", [a, b]);
    expect(wantedVoters(model.situation())).toEqual(["b"]);
    model.run();
    expect([model.self, model.shape()]).toEqual(["b", "Ba"]);
  });
});

describe("handing over", () => {
  const voter = (server: string, skewMs = 0, fsyncP99Ms = 1): Candidate => ({
    server,
    fit: true,
    skewMs,
    fsyncP99Ms,
    fsyncSamples: 200,
    hasRoom: true,
  });

  test("a leader without room for writes hands over to a fit voter that has room, before anything else", () => {
    const full = (server: string, fsyncP99Ms = 1) => ({ ...voter(server, 0, fsyncP99Ms), hasRoom: false });
    expect(handover("a", [full("a"), full("b"), voter("c")])).toMatchObject({ server: "c", reason: "room" });
    expect(handover("a", [full("a"), full("b"), { ...voter("c"), fit: false }])).toBeUndefined();
    expect(handover("a", [voter("a"), full("b"), voter("c")])).toBeUndefined();
    // Nor does a leader with room hand over to one without.
    expect(handover("a", [voter("a", 0, 900), full("b"), voter("c", 0, 800)])).toBeUndefined();
  });

  test("a leader whose clock is a day off hands over to a voter that is right", () => {
    const day = 86_400_000;
    expect(handover("a", [voter("a"), voter("b", -day), voter("c", -day + 900)])).toMatchObject({ reason: "clock" });
    expect(handover("a", [voter("a"), voter("b", -day), voter("c", 10)])).toBeUndefined();
  });

  test("two clocks cannot tell which is wrong, and a minute is allowed", () => {
    for (const skewMs of [90_000, -90_000]) {
      expect(handover("a", [voter("a"), voter("b", skewMs)])).toBeUndefined();
      // A third one that does not respond is no judge.
      expect(handover("a", [voter("a"), voter("b", skewMs), { ...voter("c", skewMs), fit: false }])).toBeUndefined();
    }
    expect(handover("a", [voter("a"), voter("b", 59_000), voter("c", 60_000)])).toBeUndefined();
    expect(handover("a", [voter("a"), voter("b", 60_000), voter("c", 60_000)])).toBeUndefined();
    expect(handover("a", [voter("a"), voter("b", 61_000), voter("c", 61_000)])).toMatchObject({ reason: "clock" });
  });

  test("a leader does not hand over to a voter whose clock is as wrong as its own", () => {
    const full = { ...voter("b", 200_000), hasRoom: false };
    expect(handover("a", [voter("a"), full, voter("c", 400_000)])).toBeUndefined();
    expect(handover("a", [voter("a"), full, voter("c", 250_000)])).toMatchObject({ server: "c", reason: "clock" });
  });

  test("a disk more than four times slower hands over to the fastest fit one", () => {
    const found = handover("a", [voter("a", 0, 100), voter("b", 0, 24), voter("c", 0, 20)]);
    expect(found).toMatchObject({ server: "c", reason: "disk" });
    expect(handover("a", [voter("a", 0, 80), voter("b", 0, 20)])).toBeUndefined();
    expect(handover("a", [voter("a", 0, 100), { ...voter("b", 0, 1), fit: false }])).toBeUndefined();
    // A disk that is fast enough stays, however fast the others are.
    expect(handover("a", [voter("a", 0, 50), voter("b", 0, 0.5)])).toBeUndefined();
    expect(handover("a", [voter("a", 0, 51), voter("b", 0, 0.5)])).toMatchObject({ reason: "disk" });
  });

  test("a disk is judged from 200 writes on, on both sides", () => {
    const few = (server: string, fsyncP99Ms: number) => ({ ...voter(server, 0, fsyncP99Ms), fsyncSamples: 199 });
    expect(handover("a", [few("a", 900), voter("b", 0, 1)])).toBeUndefined();
    expect(handover("a", [voter("a", 0, 900), few("b", 1)])).toBeUndefined();
    // The fastest of those that are measured, not the fastest of all.
    expect(handover("a", [voter("a", 0, 900), few("b", 1), voter("c", 0, 20)])).toMatchObject({ server: "c" });
  });

  test("the median of an even number is one of the values", () => {
    expect([medianOf([3, 1]), medianOf([5, 1, 3]), medianOf([])]).toEqual([1, 3, 0]);
  });
});

test.each([
  ["unknown voters", 0, 0, 0, "This node does not know the voters of its fleet yet."],
  ["one node", 1, 1, 1, "No voter may fail: this node is the only one"],
  ["two full nodes", 1, 1, 2, "no automatic failover; see cairn promote --accept-loss"],
  ["one voter of three", 1, 1, 3, "No voter may fail: one of 3 full nodes votes"],
  ["three voters", 3, 3, 3, "1 of 3 voters may fail."],
  ["five voters", 5, 5, 5, "2 of 5 voters may fail."],
  ["three, one away", 3, 2, 3, "No more voter may fail; 1 does not respond now"],
  ["five, one away", 5, 4, 5, "1 of 5 voters may fail; 1 does not respond now."],
  ["three, two away", 3, 1, 3, "No writes now: 1 of 3 voters is there, and 2 are needed"],
  ["two voters for a moment", 2, 2, 3, "No more voter may fail: bring one back"],
])("what %s survive", (_, voters, alive, full, says) => {
  const states = Array.from({ length: voters }, (_unused, index) => ({ alive: index < alive }));
  expect(faultToleranceText(states, full)).toContain(says);
});
