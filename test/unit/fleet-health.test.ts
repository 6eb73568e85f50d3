// Conditions and histories of a fleet: each judgement at its bound.

import { describe, expect, test } from "bun:test";
import type { ReceivedBeat } from "../../src/fleet/beats/beat.ts";
import { Health, type HealthFacts } from "../../src/fleet/health.ts";
import type { Member } from "../../src/fleet/rows.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import { beat, heardOf, member, raft } from "../kit/fleet-facts.ts";

function facts(more: Partial<HealthFacts> = {}, heard: Record<string, ReceivedBeat> = {}): HealthFacts {
  return {
    self: "n-a",
    ready: true,
    leading: true,
    leaderKnown: true,
    members: ["a", "b", "c"].map((name) => member(name)),
    raft: raft(["a", "b", "c"]),
    own: beat("a"),
    leaderNode: "n-a",
    profile: "home",
    monotonicMs: 0,
    received: (node) => heard[node] ?? (node === "n-a" ? undefined : heardOf(node.slice(2))),
    ageMs: () => 0,
    isAway: () => false,
    ...more,
  };
}

describe("conditions", () => {
  const codes = (found: ReadonlyMap<string, string>) => [...found.keys()];

  test("a fleet that is well has none", () => {
    expect(codes(new Health().judge(facts()))).toEqual([]);
  });

  test("no_quorum comes after five seconds without a leader, names who is not heard, and goes with one", () => {
    const health = new Health();
    const away = {
      leaderKnown: false,
      leading: false,
      leaderNode: undefined,
      isAway: (node: string) => node !== "n-a",
    };
    expect(codes(health.judge(facts({ ...away, monotonicMs: 0 })))).toEqual([]);
    expect(codes(health.judge(facts({ ...away, monotonicMs: 4_999 })))).toEqual([]);
    expect(health.judge(facts({ ...away, monotonicMs: 5_000 })).get("no_quorum")).toContain(
      "1 of 3 voters respond; not responding: b, c",
    );
    expect(codes(health.judge(facts({ monotonicMs: 6_000 })))).toEqual([]);
    expect(codes(health.judge(facts({ ...away, monotonicMs: 7_000 })))).toEqual([]);
    expect(codes(health.judge(facts({ ...away, ready: false, monotonicMs: 20_000 })))).toEqual([]);
  });

  test("an edge says that no one leads, but not while it hears no one at all", () => {
    const health = new Health();
    const edge = { raft: undefined, leaderKnown: false, leading: false, leaderNode: undefined };
    health.judge(facts({ ...edge, monotonicMs: 0 }));
    expect(health.judge(facts({ ...edge, monotonicMs: 5_000 })).get("no_quorum")).toContain("nothing can be written");
    expect(codes(health.judge(facts({ ...edge, isAway: () => true, monotonicMs: 20_000 })))).toEqual([]);
    expect(codes(health.judge(facts({ raft: undefined, leading: false })))).toEqual([]);
  });

  test("an edge counts full members alone, and each of them", () => {
    const members = [member("b"), member("c"), member("e", "edge"), member("f", "edge")];
    const edge = { self: "n-e", members, raft: undefined, leaderKnown: false, leading: false, leaderNode: undefined };
    const after = (...away: string[]) => {
      const health = new Health();
      const isAway = (node: string) => away.includes(node);
      health.judge(facts({ ...edge, isAway, monotonicMs: 0 }));
      return codes(health.judge(facts({ ...edge, isAway, monotonicMs: 5_000 })));
    };
    expect([after(), after("n-b"), after("n-b", "n-c")]).toEqual([["no_quorum"], ["no_quorum"], []]);
  });

  test("no_quorum names those alone that do not respond", () => {
    const health = new Health();
    const away = {
      leaderKnown: false,
      leading: false,
      leaderNode: undefined,
      isAway: (node: string) => node === "n-b",
    };
    health.judge(facts(away));
    expect(health.judge(facts({ ...away, monotonicMs: 5_000 })).get("no_quorum")).toEndWith(
      "2 of 3 voters respond; not responding: b",
    );
  });

  test("lagging_follower begins above a thousand changes, and again for a member that was removed", () => {
    const own = beat("a", { seq: 5_000 });
    const lagging = (seq: number, without?: string) => {
      const health = new Health();
      const heard = { "n-b": heardOf("b", { seq }), "n-c": heardOf("c", { seq: 5_000 }) };
      const members = ["a", "b", "c"].map((name) => member(name));
      health.judge(facts({ own, monotonicMs: 0 }, heard));
      const left = members.filter(({ name }) => name !== without);
      health.judge(facts({ own, members: left, monotonicMs: 5_000 }, heard));
      return codes(health.judge(facts({ own, monotonicMs: 10_000 }, heard)));
    };
    expect([lagging(4_000), lagging(3_999), lagging(3_999, "b")]).toEqual([[], ["lagging_follower"], []]);
  });

  test("what is not known yet is no condition; of members that are not heard the rows count", () => {
    expect(codes(new Health().judge(facts({ own: undefined, raft: undefined })))).toEqual([]);
    const members = [member("a"), { ...member("b"), version: "2", level: 2 }];
    const found = new Health().judge(facts({ members, received: () => undefined }));
    expect(found.get("version_skew")).toBe("a runs 1, b runs 2");
    expect(found.get("level_skew")).toStartWith("a knows level 1, b knows level 2");
  });

  test("lagging_follower on the leader wants ten seconds behind without a break", () => {
    const health = new Health();
    const own = beat("a", { seq: 5_000 });
    const behind = { "n-b": heardOf("b", { seq: 3_000 }), "n-c": heardOf("c", { seq: 4_500 }) };
    expect(codes(health.judge(facts({ own, monotonicMs: 0 }, behind)))).toEqual([]);
    expect(health.judge(facts({ own, monotonicMs: 10_000 }, behind)).get("lagging_follower")).toBe(
      "b is 2000 changes behind the leader",
    );
    expect(codes(health.judge(facts({ own, monotonicMs: 11_000 }, { "n-b": heardOf("b", { seq: 4_900 }) })))).toEqual(
      [],
    );
    expect(codes(health.judge(facts({ own, monotonicMs: 12_000 }, behind)))).toEqual([]);
  });

  test("a follower says it of itself alone", () => {
    const health = new Health();
    const one = { leading: false, leaderNode: "n-b", own: beat("a", { seq: 1 }) };
    const heard = { "n-b": heardOf("b", { seq: 3_000, leading: true }), "n-c": heardOf("c", { seq: 2 }) };
    health.judge(facts({ ...one, monotonicMs: 0 }, heard));
    expect(health.judge(facts({ ...one, monotonicMs: 10_000 }, heard)).get("lagging_follower")).toBe(
      "this node is 2999 changes behind the leader",
    );
  });

  test("flapping_leader above three elections in ten minutes", () => {
    const of = (electionsIn10Min: number) =>
      codes(new Health().judge(facts({ raft: raft(["a"], { electionsIn10Min }) })));
    expect([of(3), of(4)]).toEqual([[], ["flapping_leader"]]);
  });

  test.each([
    ["lan", 50],
    ["home", 150],
    ["wan", 500],
  ] as const)("slow_fsync with the profile %s above %d ms", (profile, ms) => {
    const of = (fsyncP99Ms: number) => codes(new Health().judge(facts({ profile, own: beat("a", { fsyncP99Ms }) })));
    expect([of(ms), of(ms + 1)]).toEqual([[], ["slow_fsync"]]);
  });

  test("clock_skew: of three the one that is off says so, of two that they differ", () => {
    const skewed = (skewMs: number) => ({ "n-b": heardOf("b", {}, { skewMs }), "n-c": heardOf("c", {}, { skewMs }) });
    const health = new Health();
    expect(health.judge(facts({}, skewed(5_000))).get("clock_skew")).toBeUndefined();
    expect(health.judge(facts({}, skewed(7_000))).get("clock_skew")).toBe(
      "The clock of this node is 7 s behind that of the other members",
    );
    expect(health.judge(facts({}, skewed(-86_400_000))).get("clock_skew")).toContain("86400 s ahead of");
    // One of the others is off: that is its own matter.
    expect(codes(health.judge(facts({}, { "n-b": heardOf("b", {}, { skewMs: 60_000 }) })))).toEqual([]);
    const pair = [member("a"), member("b")];
    expect(codes(health.judge(facts({ members: pair }, skewed(5_000))))).toEqual([]);
    expect(codes(health.judge(facts({ members: pair, isAway: (node) => node === "n-b" }, skewed(9_000))))).toEqual([]);
    const two = facts({ members: pair }, skewed(-9_000));
    expect(health.judge(two).get("clock_skew")).toBe("The clocks of this node and b differ by 9 s");
  });

  test("build_too_old names whose build is below the level of the fleet, on the leader and on that member", () => {
    const at = (fleetLevel: number, level: number) => ({ fleetLevel, level });
    const heard = { "n-b": heardOf("b", at(5, 5)), "n-c": heardOf("c", at(4, 4)) };
    const onLeader = new Health().judge(facts({ own: beat("a", at(5, 5)) }, heard));
    expect(onLeader.get("build_too_old")).toBe("The fleet is at level 5, and c knows levels up to 4");
    expect(onLeader.has("level_skew")).toBe(false);
    // It has not applied the raise, and knows the level from the leader.
    const own = { leading: false, leaderNode: "n-b", own: beat("a", at(4, 4)) };
    const newer = { "n-b": heardOf("b", at(5, 5)), "n-c": heardOf("c", at(5, 5)) };
    expect(new Health().judge(facts(own, newer)).get("build_too_old")).toBe(
      "The fleet is at level 5, and this node knows levels up to 4",
    );
    const blank = { ...own, leaderNode: undefined, members: [], newerCopy: "The copy has schema 7" };
    expect(new Health().judge(facts(blank)).get("build_too_old")).toBe("The copy has schema 7");
    const before = { "n-b": heardOf("b", at(4, 5)), "n-c": heardOf("c", at(4, 5)) };
    expect(codes(new Health().judge(facts(own, before)))).toEqual(["level_skew"]);
    expect(codes(new Health().judge(facts({ ...own, leaderNode: undefined }, newer)))).toEqual(["level_skew"]);
  });

  test("version_skew and level_skew name who runs what; an edge has no level to wait for", () => {
    const health = new Health();
    const found = health.judge(facts({}, { "n-c": heardOf("c", { version: "2", level: 2 }) }));
    expect(found.get("version_skew")).toBe("a runs 1, b runs 1, c runs 2");
    expect(found.get("level_skew")).toContain("c knows level 2; the fleet stays at the lowest");
    const edge = facts({ members: [member("a"), member("c", "edge")] }, { "n-c": heardOf("c", { level: 2 }) });
    expect(codes(health.judge(edge))).toEqual([]);
  });

  test("member_unreachable after fifteen seconds, for full members only", () => {
    const of = (ms: number, role: Member["role"]) =>
      new Health()
        .judge(facts({ members: [member("a"), member("b", role)], ageMs: () => ms }))
        .get("member_unreachable");
    expect([of(15_000, "regional"), of(16_000, "regional"), of(99_000, "edge")]).toEqual([
      undefined,
      "b has not responded for 16 s",
      undefined,
    ]);
  });

  test("what lasts is logged once, though its text counts", () => {
    const logged: string[] = [];
    const conditions = new Conditions((_level, message) => logged.push(message));
    const health = new Health();
    for (const seconds of [16, 17, 100]) {
      const own = beat("a", { fsyncP99Ms: 400 + seconds });
      health.update(facts({ own, ageMs: () => seconds * 1000, leaderKnown: true }), conditions);
    }
    const texts = conditions.list().map(({ text }) => text);
    expect(texts.some((text) => text.includes("has not responded for 100 s"))).toBe(true);
    expect(texts.some((text) => text.includes("takes 500 ms"))).toBe(true);
    expect(logged.filter((line) => line.includes("has not responded"))).toHaveLength(1);
    expect(logged.filter((line) => line.includes("Syncing the log"))).toHaveLength(1);
  });

  test("what is over is cleared, and what others raise stays", () => {
    const conditions = new Conditions(() => {});
    conditions.raise("disk_full", "x");
    const health = new Health();
    health.update(facts({ raft: raft(["a"], { electionsIn10Min: 9 }) }), conditions);
    expect(conditions.list().map(({ code }) => code)).toEqual(["disk_full", "flapping_leader"]);
    health.update(facts(), conditions);
    expect(conditions.list().map(({ code }) => code)).toEqual(["disk_full"]);
  });
});
