// Whose state is wrong, by the beats of members alone (replication.md 33): which members are refused, which give way,
// and when that cannot be said.

import { describe, expect, test } from "bun:test";
import { Histories } from "../../src/fleet/beats/histories.ts";
import type { Beat, Member } from "../../src/fleet/index.ts";
import { heardOf, member } from "../kit/fleet-facts.ts";

/** A node with a state: from a count of commands on, its digests are those of a variant. */
class Node {
  readonly member: Member;
  readonly histories = new Histories();
  count = 100;
  variant: { from: number; digit: string } = { from: 0, digit: "0" };

  constructor(name: string) {
    this.member = member(name);
  }

  readonly digestAt = (count: number): string | undefined => {
    if (count > this.count) return undefined;
    return (count >= this.variant.from ? this.variant.digit : "0").repeat(64);
  };

  beat(): Partial<Beat> {
    const hash = this.variant.digit === "0" ? "h10" : `h10${this.variant.digit}`;
    const digest = `${this.count}-${this.digestAt(this.count)}`;
    return { seq: this.count === 0 ? 0 : 10, hash, digest, agreed: this.histories.agreed() };
  }

  hears(from: Node, beat: Partial<Beat> = from.beat()): void {
    const chain = String(this.beat().hash);
    const facts = { version: "1", epoch: "e", hashAt: () => chain, count: this.count, digestAt: this.digestAt };
    this.histories.take(from.member, heardOf(from.member.name, beat), facts);
  }

  differs(from: number, digit: string): void {
    this.variant = { from, digit };
  }
}

/** A fleet whose first node leads. Nodes that are `away` send and receive nothing. */
function fleetOf(size: number) {
  const nodes = Array.from("abcdefg".slice(0, size), (name) => new Node(name)) as [Node, Node, Node, ...Node[]];
  const members = nodes.map((node) => node.member);
  const away = new Set<Node>();
  const present = () => nodes.filter((node) => !away.has(node));
  return {
    nodes,
    away,
    /** Beats of all to all; twice, since a beat says what was compared before it. */
    beats(): void {
      for (let round = 0; round < 2; round += 1)
        for (const node of present()) for (const other of present()) if (other !== node) node.hears(other);
    },
    run(count: number): void {
      for (const node of present()) node.count += count;
    },
    /** Returns for each node whom it refuses; "gives way" for one that is itself wrong. */
    verdicts(leader: Node | "none" = nodes[0]): string[] {
      return nodes.map((node) => {
        const facts = {
          self: node.member.node,
          leaderNode: leader === "none" ? undefined : leader.member.node,
          members,
        };
        const { refused, giveWay } = node.histories.judge(facts);
        return giveWay === undefined ? refused.map(({ name }) => name).join() : "gives way";
      });
    },
    text: (node: Node) => node.histories.text(members),
    members,
  };
}

test("equal states, and what cannot be compared, say nothing", () => {
  const fleet = fleetOf(3);
  fleet.beats();
  expect(fleet.verdicts()).toEqual(["", "", ""]);
  const [a, b] = fleet.nodes;
  a.hears(b, { seq: 11, hash: "x", digest: `200-${"7".repeat(64)}` });
  a.hears(b, { seq: 0, hash: "x" });
  a.hears(b, { epoch: "", hash: "x", digest: undefined });
  expect([fleet.verdicts(), fleet.text(a)]).toEqual([["", "", ""], undefined]);
});

test("without digests another chain is reported, and no one acts on it", () => {
  const fleet = fleetOf(3);
  const [a, b, c] = fleet.nodes;
  for (const other of [b, c]) a.hears(other, { hash: "other", digest: undefined });
  expect(fleet.verdicts(b)).toEqual(["", "", ""]);
  expect(fleet.text(a)).toBe("b has another change 10 than this node; c has another change 10 than this node");
  a.hears(b, { epoch: "f", hash: "h10", digest: undefined });
  a.hears(c, { digest: undefined });
  expect(fleet.text(a)).toBe("b has another change 10 than this node");
  expect(a.histories.text([a.member])).toBeUndefined();
});

test("between two versions a digest alone decides nothing; another chain does, and an equal digest", () => {
  const fleet = fleetOf(3);
  const [a, b, c] = fleet.nodes;
  const other = (digit: string, hash = "h10") => ({ version: "2", hash, digest: `100-${digit.repeat(64)}` });
  c.hears(a, other("7"));
  c.hears(b, other("0"));
  expect([fleet.verdicts(), fleet.text(c)]).toEqual([
    ["", "", ""],
    "a has another state than this node under the same changes",
  ]);
  c.hears(a, other("7", "h107"));
  expect(fleet.verdicts()).toEqual(["", "", "a"]);
});

test("another digest under one chain is named as another state", () => {
  const [a, b] = fleetOf(3).nodes;
  a.hears(b, { hash: "h10", digest: `100-${"7".repeat(64)}` });
  const text = "b has another state than this node under the same changes";
  expect(a.histories.text([a.member, b.member])).toBe(text);
  expect(a.histories.text([a.member, b.member], [b.member])).toBe(`${text}; most members contradict it`);
});

test("states that differed are the same again where they are equal at that count, as after a copy", () => {
  const [a, b] = fleetOf(3).nodes;
  b.differs(100, "7");
  a.hears(b);
  expect(a.histories.text([a.member, b.member])).toBeDefined();
  // An earlier count at which both were equal proves nothing.
  a.hears(b, { digest: `99-${"0".repeat(64)}` });
  expect(a.histories.text([a.member, b.member])).toBeDefined();
  b.differs(0, "0");
  a.hears(b);
  expect(a.histories.text([a.member, b.member])).toBeUndefined();
  expect(a.histories.agreed()).toEqual([{ node: b.member.node, count: 100 }]);
});

describe("a majority that agrees decides", () => {
  test.each([3, 4, 5])("of %i: a wrong leader is refused by all others and gives way alone", (size) => {
    const fleet = fleetOf(size);
    fleet.beats();
    fleet.nodes[0].differs(100, "7");
    fleet.run(1);
    fleet.beats();
    expect(fleet.verdicts()).toEqual(["gives way", ...Array(size - 1).fill("a")]);
  });

  test.each([3, 4, 5])("of %i: a wrong follower gives way, also while none leads", (size) => {
    const fleet = fleetOf(size);
    fleet.beats();
    fleet.nodes[1].differs(100, "7");
    fleet.run(1);
    fleet.beats();
    const verdict = ["b", "gives way", ...Array(size - 2).fill("b")];
    expect(fleet.verdicts()).toEqual(verdict);
    expect(fleet.verdicts("none")).toEqual(verdict);
  });

  test("of five with two wrong in different ways, each is refused and gives way", () => {
    const fleet = fleetOf(5);
    fleet.nodes[0].differs(100, "7");
    fleet.nodes[1].differs(90, "8");
    fleet.beats();
    expect(fleet.verdicts()).toEqual(["gives way", "gives way", "a,b", "a,b", "a,b"]);
  });

  test("one that has its copy is refused no longer", () => {
    const fleet = fleetOf(3);
    const [a, b, c] = fleet.nodes;
    a.differs(100, "7");
    fleet.beats();
    expect(fleet.verdicts(b)).toEqual(["gives way", "a", "a"]);
    // Without a store it is neither right nor wrong.
    for (const other of [b, c]) other.hears(a, { seq: 0 });
    expect(fleet.verdicts(b).slice(1)).toEqual(["", ""]);
    fleet.run(1);
    a.variant = { from: 0, digit: "0" };
    fleet.beats();
    expect([fleet.verdicts(b).slice(1), fleet.text(b)]).toEqual([["", ""], undefined]);
  });
});

describe("no one gives way alone", () => {
  test("where the third is away, neither of two does, until it says whose state it has", () => {
    const fleet = fleetOf(3);
    fleet.beats();
    fleet.away.add(fleet.nodes[2]);
    fleet.nodes[0].differs(101, "7");
    fleet.run(5);
    fleet.beats();
    // What the third said before they differed is no vote for either.
    expect(fleet.verdicts()).toEqual(["", "", ""]);
    fleet.away.clear();
    fleet.nodes[2].count += 5;
    fleet.beats();
    expect(fleet.verdicts()).toEqual(["gives way", "a", "a"]);
  });

  test("three that all differ: the followers take the leader's state, and the leader keeps it", () => {
    const fleet = fleetOf(3);
    for (const [at, node] of fleet.nodes.entries()) node.differs(100, String(at + 1));
    fleet.beats();
    expect(fleet.verdicts()).toEqual(["", "gives way", "gives way"]);
    expect(fleet.verdicts("none")).toEqual(["", "", ""]);
  });

  test("of two the follower takes the leader's state; of two and two those beside the leader keep theirs", () => {
    const two = fleetOf(2);
    two.nodes[1].differs(100, "7");
    two.beats();
    expect(two.verdicts()).toEqual(["", "gives way"]);
    const four = fleetOf(4);
    for (const node of four.nodes.slice(2)) node.differs(100, "7");
    four.beats();
    expect(four.verdicts()).toEqual(["", "", "gives way", "gives way"]);
  });
});

test("a member that is ahead with each beat is compared once this node has reached what it said first", () => {
  const fleet = fleetOf(3);
  const [a, b, c] = fleet.nodes;
  a.differs(105, "7");
  a.count = 110;
  for (const other of [b, c]) other.hears(a);
  expect(fleet.verdicts().slice(1)).toEqual(["", ""]);
  for (const each of fleet.nodes) each.count += 15;
  fleet.beats();
  expect(fleet.verdicts()).toEqual(["gives way", "a", "a"]);
});

test("a beat that comes late does not undo what a newer one showed", () => {
  const fleet = fleetOf(3);
  const [a, b] = fleet.nodes;
  const late = a.beat();
  a.differs(105, "7");
  fleet.run(10);
  fleet.beats();
  b.hears(a, late);
  expect(fleet.verdicts()).toEqual(["gives way", "a", "a"]);
});
