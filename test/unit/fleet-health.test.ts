// Beats, conditions, histories and the steward with fake clocks, a fake link and a fake raft: each judgement at its bound, and a fleet that is driven to what its table says.

import { describe, expect, test } from "bun:test";
import type { Beat, Heard } from "../../src/fleet/beat.ts";
import { Beats } from "../../src/fleet/beats.ts";
import { Health, type HealthFacts } from "../../src/fleet/health.ts";
import { Histories } from "../../src/fleet/histories.ts";
import type { Members } from "../../src/fleet/members.ts";
import { ToldMembers } from "../../src/fleet/members.ts";
import type { Member } from "../../src/fleet/rows.ts";
import { Steward } from "../../src/fleet/steward.ts";
import { Fault } from "../../src/lib/fault.ts";
import type { Command } from "../../src/log/log.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import type { RaftChange, RaftState } from "../../src/tailnet/index.ts";

function member(name: string, role: Member["role"] = "central"): Member {
  return {
    ...{
      node: `n-${name}`,
      server: role === "edge" ? "" : `s-${name}`,
      name,
      role,
      state: "active" as const,
      spaces: [],
    },
    ...{ level: 1, version: "1", joinedMs: 0 },
  };
}

function beat(name: string, more: Partial<Beat> = {}): Beat {
  return {
    ...{
      node: `n-${name}`,
      server: `s-${name}`,
      name,
      role: "central" as const,
      version: "1",
      level: 1,
      fleetLevel: 1,
    },
    ...{ epoch: "e", seq: 10, hash: "h10", timeMs: 0, leading: false, leader: "s-a", term: 2 },
    ...{ last: 20, applied: 20, configuration: 1, fsyncP99Ms: 1, electionsIn10Min: 1, profile: "home" as const },
    ...{ memory: 0, diskFree: 0, conditions: [], startedMs: 0 },
    ...more,
  };
}

function heardOf(name: string, more: Partial<Beat> = {}, rest: Partial<Heard> = {}): Heard {
  return { beat: beat(name, more), atMs: 0, roundTripMs: 1, skewMs: 0, ...rest };
}

function raft(voters: readonly string[], more: Partial<RaftState> = {}): RaftState {
  return {
    ...{ server: "s-a", leading: true, leader: "s-a", term: 2, last: 20, commit: 20, applied: 20, snapshot: 0 },
    ...{ configuration: 1, members: voters.map((name) => ({ server: `s-${name}`, voter: true })), fsyncP99Ms: 1 },
    ...{ electionsIn10Min: 1, refused: [] },
    ...more,
  };
}

function facts(more: Partial<HealthFacts> = {}, heard: Record<string, Heard> = {}): HealthFacts {
  return {
    ...{
      self: "n-a",
      ready: true,
      leading: true,
      leaderKnown: true,
      members: ["a", "b", "c"].map((name) => member(name)),
    },
    ...{ raft: raft(["a", "b", "c"]), own: beat("a"), leaderNode: "n-a", profile: "home", monotonicMs: 0 },
    heard: (node) => heard[node] ?? (node === "n-a" ? undefined : heardOf(node.slice(2))),
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
      "1 of 3 voters are heard; not heard: b, c",
    );
    expect(codes(health.judge(facts({ monotonicMs: 6_000 })))).toEqual([]);
    expect(codes(health.judge(facts({ ...away, monotonicMs: 7_000 })))).toEqual([]);
    expect(codes(health.judge(facts({ ...away, ready: false, monotonicMs: 20_000 })))).toEqual([]);
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
    const two = facts({ members: [member("a"), member("b")] }, skewed(-9_000));
    expect(health.judge(two).get("clock_skew")).toBe("The clocks of this node and b differ by 9 s");
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
      "b was not heard for 16 s",
      undefined,
    ]);
  });

  test("what is over is cleared, and what others raise stays", () => {
    const conditions = new Conditions(() => {});
    conditions.raise("disk_full", "x");
    const health = new Health();
    health.tell(facts({ raft: raft(["a"], { electionsIn10Min: 9 }) }), conditions);
    expect(conditions.list().map(({ code }) => code)).toEqual(["disk_full", "flapping_leader"]);
    health.tell(facts(), conditions);
    expect(conditions.list().map(({ code }) => code)).toEqual(["disk_full"]);
  });
});

describe("two histories", () => {
  const members = ["a", "b", "c"].map((name) => member(name));
  const own = { epoch: "e", hashAt: (seq: number) => (seq <= 10 ? `h${seq}` : undefined) };
  const follower = { ...own, leading: false, leaderNode: "n-b", members };
  const leader = { ...own, leading: true, leaderNode: "n-a", members };
  const [, b, c] = members as [Member, Member, Member];

  test("the same, further, or not comparable says nothing", () => {
    const histories = new Histories();
    for (const heard of [heardOf("b"), heardOf("b", { seq: 11, hash: "x" }), heardOf("b", { seq: 0, hash: "x" })])
      expect(histories.take(b, heard, follower)).toBeUndefined();
    expect(histories.text(members)).toBeUndefined();
  });

  test("a follower that differs from its leader stops; from another follower it only says so", () => {
    const histories = new Histories();
    expect(histories.take(c, heardOf("c", { hash: "other" }), follower)).toBeUndefined();
    expect(histories.text(members)).toBe("c has another change 10 than this node");
    expect(histories.take(b, heardOf("b", { hash: "other" }), follower)).toContain("and it leads");
    expect(histories.take(b, heardOf("b", { epoch: "f" }), follower)).toContain("and it leads");
  });

  test("a leader stops only when most say the same against it", () => {
    const histories = new Histories();
    expect(histories.take(b, heardOf("b", { hash: "other" }), leader)).toBeUndefined();
    expect(histories.take(c, heardOf("c", { hash: "other" }), leader)).toContain("so do most");
    expect(histories.take(b, heardOf("b"), leader)).toBeUndefined();
    expect(histories.text(members)).toBe("c has another change 10 than this node");
    expect(histories.text([members[0] as Member])).toBeUndefined();
  });
});

/** Beats of `a` over a link whose far ends are set by a test, on clocks that it moves. */
function startBeats(names: readonly string[]) {
  const members = new ToldMembers();
  members.set(names.map((name) => member(name, name === "edge" ? "edge" : "central")));
  const clock = { monotonicMs: 1_000, wallMs: 50_000 };
  const asked: string[] = [];
  const refusals: string[] = [];
  let far: (node: string) => unknown = (node) => beat(node.slice(2), { timeMs: clock.wallMs });
  const beats = new Beats({
    ...{ members, self: () => "n-a", monotonicMs: () => clock.monotonicMs, nowMs: () => clock.wallMs },
    beat: async () => beat("a", { leading: true }),
    link: {
      call: async ({ node }) => {
        asked.push(node);
        return far(node);
      },
    },
    onNotAMember: (by) => refusals.push(by.name),
  });
  return {
    ...{ beats, members, clock, asked, refusals },
    answer: (answer: typeof far) => {
      far = answer;
    },
  };
}

describe("beats", () => {
  test("every full member is asked, edges and this node are not", async () => {
    const { beats, asked } = startBeats(["a", "b", "c", "edge"]);
    await beats.round();
    expect(asked).toEqual(["n-b", "n-c"]);
    expect(beats.heard("n-b")).toMatchObject({ roundTripMs: 0, skewMs: 0 });
  });

  test("a clock that is ahead shows, with half the round trip taken off", async () => {
    const { beats, clock, answer } = startBeats(["a", "b"]);
    answer((node) => {
      clock.monotonicMs += 100;
      clock.wallMs += 100;
      return beat(node.slice(2), { timeMs: clock.wallMs - 50 + 7_000 });
    });
    await beats.round();
    expect(beats.heard("n-b")).toMatchObject({ roundTripMs: 100, skewMs: 7_000 });
  });

  test("who does not answer grows old and is away; who never did counts from the begin", async () => {
    const { beats, clock, answer } = startBeats(["a", "b", "c"]);
    await beats.round();
    answer(() => {
      throw new Fault("unavailable", "gone");
    });
    clock.monotonicMs += 5_001;
    await beats.round();
    expect([beats.isAway("n-b"), beats.ageMs("n-b"), beats.ageMs("n-never")]).toEqual([true, 5_001, 5_001]);
  });

  test("a beat of a member is taken and answered, one of a stranger refused", async () => {
    const { beats } = startBeats(["a", "b"]);
    expect(await beats.answer("n-b", beat("b", { seq: 44 }))).toMatchObject({ node: "n-a" });
    expect(beats.heard("n-b")?.beat.seq).toBe(44);
    await expect(beats.answer("n-x", beat("x"))).rejects.toMatchObject({ code: "not_a_member" });
  });

  test("only a peer's own word says that this node is none", async () => {
    const { beats, refusals, answer } = startBeats(["a", "b"]);
    answer(() => {
      throw new Fault("not_a_member", "none of ours");
    });
    await beats.round();
    answer(() => {
      throw new Fault("not_a_member", "none of ours", { details: { peer: true } });
    });
    await beats.round();
    expect(refusals).toEqual(["b"]);
  });

  test("what is no member any more is forgotten; the newest term tells who leads", async () => {
    const { beats, members, answer } = startBeats(["a", "b", "c"]);
    answer((node) => beat(node.slice(2), { leading: true, term: node === "n-c" ? 9 : 3 }));
    await beats.round();
    expect(beats.leaderNode()).toBe("n-c");
    members.set([member("a"), member("b")]);
    await beats.round();
    expect([beats.heard("n-c"), beats.leaderNode()]).toEqual([undefined, "n-b"]);
  });
});

/** A steward over a raft that does what it is told, and beats that say what a test says. */
function startSteward(members: readonly Member[], state: RaftState) {
  const list = new ToldMembers();
  list.set(members);
  const world = {
    state,
    heard: new Map<string, Heard>(),
    away: new Set<string>(),
    monotonicMs: 0,
    own: beat("a"),
    fails: false,
  };
  const changes: RaftChange[] = [];
  const proposed: Command[] = [];
  let level = 1;
  const steward = new Steward({
    members: list satisfies Members,
    host: {
      raftState: async () => world.state,
      raftChange: async (change) => {
        changes.push(change);
        if (world.fails) throw new Fault("unavailable", "another change came first");
        if (!("previous" in change)) return;
        expect(change.previous).toBe(world.state.configuration);
        const rest = world.state.members.filter(({ server }) => server !== change.server);
        const voter = change.do === "promote";
        world.state = {
          ...world.state,
          configuration: world.state.configuration + 1,
          members: change.do === "remove" ? rest : [...rest, { server: change.server, voter }],
        };
      },
    },
    beats: {
      heard: (node) => world.heard.get(node),
      own: () => world.own,
      isAway: (node) => world.away.has(node) || !world.heard.has(node),
      ageMs: (node) => (world.away.has(node) ? 11 * 60_000 : 0),
    },
    propose: async (command) => {
      proposed.push(command);
    },
    level: () => level,
    membersTold: async () => {},
    monotonicMs: () => world.monotonicMs,
    log: () => {},
  });
  const lead = new AbortController();
  steward.lead(lead.signal);
  return {
    ...{ steward, world, changes, proposed, lead },
    raise: (now: number) => {
      level = now;
    },
    /** Everyone says that it has all of it. */
    hear: (...names: string[]) => {
      for (const name of names)
        world.heard.set(
          `n-${name}`,
          heardOf(name, { applied: world.state.commit, configuration: world.state.configuration }),
        );
    },
  };
}

describe("the steward", () => {
  test("drives raft to the table: adds, waits for three checks, promotes one after the other", async () => {
    const { steward, world, changes, hear } = startSteward(
      ["a", "b", "c"].map((name) => member(name)),
      raft(["a"]),
    );
    for (let tick = 0; tick < 12; tick += 1) {
      hear("b", "c");
      await steward.tick();
    }
    expect(changes.map((change) => `${change.do} ${"server" in change ? change.server : ""}`)).toEqual([
      "add s-b",
      "add s-c",
      "promote s-b",
      "promote s-c",
    ]);
    expect(world.state.members.filter(({ voter }) => voter)).toHaveLength(3);
  });

  test("a newcomer that falls behind starts its three checks anew", async () => {
    const { steward, world, changes, hear } = startSteward([member("a"), member("b"), member("c")], {
      ...raft(["a"]),
      members: [
        { server: "s-a", voter: true },
        { server: "s-b", voter: false },
        { server: "s-c", voter: false },
      ],
    });
    for (let tick = 0; tick < 3; tick += 1) {
      hear("b", "c");
      await steward.tick();
    }
    hear("b");
    world.heard.set("n-c", heardOf("c", { applied: 3 }));
    await steward.tick();
    for (let tick = 0; tick < 2; tick += 1) {
      hear("b", "c");
      await steward.tick();
    }
    expect(changes).toEqual([]);
    hear("b", "c");
    await steward.tick();
    expect(changes).toMatchObject([{ do: "promote", server: "s-b" }]);
  });

  test("what a device said with its old server does not count for its new one", async () => {
    const { steward, world, changes, hear } = startSteward(
      [member("a"), { ...member("b"), server: "s-new" }, member("c")],
      {
        ...raft(["a"]),
        members: [
          { server: "s-a", voter: true },
          { server: "s-new", voter: false },
          { server: "s-c", voter: false },
        ],
      },
    );
    for (let tick = 0; tick < 6; tick += 1) {
      hear("b", "c");
      await steward.tick();
    }
    expect(changes).toEqual([]);
    world.heard.set("n-b", heardOf("b", { server: "s-new", applied: 20, configuration: 1 }));
    for (let tick = 0; tick < 4; tick += 1) await steward.tick();
    expect(changes.length).toBeGreaterThan(0);
  });

  test("does nothing once it no longer leads", async () => {
    const { steward, changes, lead } = startSteward([member("a"), member("b")], raft(["a"]));
    lead.abort();
    await steward.tick();
    expect(changes).toEqual([]);
  });

  test("hands over for its clock once a minute, for its disk once in ten", async () => {
    const { steward, world, changes } = startSteward(
      ["a", "b", "c"].map((name) => member(name)),
      raft(["a", "b", "c"], { fsyncP99Ms: 500 }),
    );
    const hear = (skewMs: number) => {
      for (const name of ["b", "c"])
        world.heard.set(`n-${name}`, heardOf(name, { applied: 20, configuration: 1 }, { skewMs }));
    };
    hear(0);
    for (let tick = 0; tick < 4; tick += 1) await steward.tick();
    expect(changes).toEqual([{ do: "transfer", server: "s-b" }]);
    world.monotonicMs = 599_999;
    await steward.tick();
    expect(changes).toHaveLength(1);
    hear(90_000);
    await steward.tick();
    world.monotonicMs += 59_999;
    await steward.tick();
    expect(changes).toHaveLength(2);
    world.monotonicMs += 1;
    await steward.tick();
    expect(changes).toHaveLength(3);
  });

  test("keeps rows true to what members say, and raises the level one by one when all rows know it", async () => {
    const rows = [
      { ...member("a"), level: 3 },
      { ...member("b"), level: 3 },
      { ...member("e", "edge"), level: 1 },
    ];
    const { steward, world, proposed, hear, raise } = startSteward(
      rows,
      raft(["a"], {
        members: [
          { server: "s-a", voter: true },
          { server: "s-b", voter: false },
        ],
      }),
    );
    world.own = beat("a", { level: 3 });
    hear("b");
    world.heard.set("n-b", heardOf("b", { name: "bee", version: "2", level: 3, applied: 20 }));
    await steward.tick();
    expect(proposed.at(-1)).toMatchObject({
      name: "fleet_member_update",
      input: { node: "n-b", name: "bee", version: "2", level: 3 },
    });
    world.heard.set("n-b", heardOf("b", { level: 3, applied: 20 }));
    await steward.tick();
    expect(proposed.at(-1)).toMatchObject({ name: "fleet_level_raise", input: { level: 2 } });
    raise(3);
    await steward.tick();
    expect(proposed).toHaveLength(2);
  });

  test("a step that fails is tried again, and nothing is thrown", async () => {
    const { steward, world, changes } = startSteward([member("a"), member("b")], raft(["a"]));
    world.fails = true;
    await steward.tick();
    expect(world.state.members).toHaveLength(1);
    world.fails = false;
    await steward.tick();
    expect(changes).toMatchObject([
      { do: "add", server: "s-b" },
      { do: "add", server: "s-b" },
    ]);
    expect(world.state.members).toHaveLength(2);
  });
});
