// Beats and the steward with fake clocks, a fake link and a fake raft: what members hear of each other, and a fleet
// that is driven to what its table says.

import { describe, expect, test } from "bun:test";
import type { ReceivedBeat } from "../../src/fleet/beats/beat.ts";
import { Beats } from "../../src/fleet/beats/beats.ts";
import { Steward } from "../../src/fleet/lead/steward.ts";
import { KnownMembers, type Members } from "../../src/fleet/members.ts";
import type { Member } from "../../src/fleet/rows.ts";
import { Fault } from "../../src/lib/fault.ts";
import type { Command } from "../../src/log/log.ts";
import { fleetMark } from "../../src/peer/fleet-mark.ts";
import type { RaftChange, RaftState } from "../../src/tailnet/index.ts";
import { beat, heardOf, member, raft } from "../kit/fleet-facts.ts";
import { DEFAULT_FLEET_SETTINGS } from "../kit/limits.ts";

/** Beats of `a` over a link whose far ends are set by a test, on clocks that it moves. */
function startBeats(names: readonly string[], fleetId = "f1") {
  const members = new KnownMembers();
  members.set(names.map((name) => member(name, name === "edge" ? "edge" : "central")));
  const clock = { monotonicMs: 1_000, wallMs: 50_000 };
  const asked: string[] = [];
  const refusals: string[] = [];
  let far: (node: string) => unknown = (node) => beat(node.slice(2), { timeMs: clock.wallMs });
  const beats = new Beats({
    members,
    self: () => "n-a",
    monotonicMs: () => clock.monotonicMs,
    nowMs: () => clock.wallMs,
    beat: async () => beat("a", { leading: true }),
    link: {
      call: async ({ node }) => {
        asked.push(node);
        return far(node);
      },
    },
    fleetId: () => fleetId,
    onNotAMember: (by) => refusals.push(by.name),
  });
  return {
    beats,
    members,
    clock,
    asked,
    refusals,
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
    expect(beats.received("n-b")).toMatchObject({ roundTripMs: 0, skewMs: 0 });
  });

  test("a clock that is ahead shows, with half the round trip taken off", async () => {
    const { beats, clock, answer } = startBeats(["a", "b"]);
    answer((node) => {
      clock.monotonicMs += 100;
      clock.wallMs += 100;
      return beat(node.slice(2), { timeMs: clock.wallMs - 50 + 7_000 });
    });
    await beats.round();
    expect(beats.received("n-b")).toMatchObject({ roundTripMs: 100, skewMs: 7_000 });
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
    expect(beats.received("n-b")?.beat.seq).toBe(44);
    await expect(beats.answer("n-x", beat("x"))).rejects.toMatchObject({ code: "not_a_member" });
  });

  test("only a peer's own word says that this node is none, and only that of one that is of the same fleet still", async () => {
    const { beats, refusals, answer } = startBeats(["a", "b"]);
    for (const fleet of [undefined, "", fleetMark("f2", "n-a"), fleetMark("f1", "n-b")]) {
      answer(() => {
        throw new Fault("not_a_member", "none of ours", { facts: { fromPeer: true, fleetMark: fleet } });
      });
      await beats.round();
    }
    // A refusal by this node's own link, whatever it holds.
    answer(() => {
      throw new Fault("not_a_member", "none of ours", { facts: { fleetMark: fleetMark("f1", "n-a") } });
    });
    await beats.round();
    expect(refusals).toEqual([]);
    answer(() => {
      throw new Fault("not_a_member", "none of ours", { facts: { fromPeer: true, fleetMark: fleetMark("f1", "n-a") } });
    });
    await beats.round();
    expect(refusals).toEqual(["b"]);
  });

  test("a node that does not know its fleet yet believes no removal", async () => {
    const { beats, refusals, answer } = startBeats(["a", "b"], "");
    answer(() => {
      throw new Fault("not_a_member", "none of ours", { facts: { fromPeer: true, fleetMark: "" } });
    });
    await beats.round();
    expect(refusals).toEqual([]);
  });

  test("what is no member any more is forgotten; the newest term tells who leads", async () => {
    const { beats, members, answer } = startBeats(["a", "b", "c"]);
    answer((node) => beat(node.slice(2), { leading: true, term: node === "n-c" ? 9 : 3 }));
    await beats.round();
    expect(beats.leaderNode()).toBe("n-c");
    members.set([member("a"), member("b")]);
    await beats.round();
    expect([beats.received("n-c"), beats.leaderNode()]).toEqual([undefined, "n-b"]);
  });

  test("a member that may not lead is not believed when it reports that it leads, whatever its term", async () => {
    const { beats, members, answer } = startBeats(["a", "b", "c"]);
    members.set([member("a"), member("b"), member("c", "regional")]);
    answer((node) => beat(node.slice(2), { leading: true, term: node === "n-c" ? 1e9 : 3 }));
    await beats.round();
    expect(beats.leaderNode()).toBe("n-b");
  });
});

/** A steward over a raft that does what it is told, and beats that say what a test says. */
function startSteward(members: readonly Member[], state: RaftState) {
  const list = new KnownMembers();
  list.set(members);
  const world = {
    state,
    received: new Map<string, ReceivedBeat>(),
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
      received: (node) => world.received.get(node),
      own: () => world.own,
      isAway: (node) => world.away.has(node) || !world.received.has(node),
      ageMs: (node) => (world.away.has(node) ? 11 * 60_000 : 0),
    },
    propose: async (command) => {
      proposed.push(command);
    },
    level: () => level,
    settings: () => DEFAULT_FLEET_SETTINGS,
    membersSent: async () => {},
    monotonicMs: () => world.monotonicMs,
    log: () => {},
  });
  const lead = new AbortController();
  steward.lead(lead.signal);
  return {
    steward,
    world,
    changes,
    proposed,
    lead,
    raise: (now: number) => {
      level = now;
    },
    /** Everyone says that it has all of it. */
    hear: (...names: string[]) => {
      for (const name of names)
        world.received.set(
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
    world.received.set("n-c", heardOf("c", { applied: 3 }));
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
    world.received.set("n-b", heardOf("b", { server: "s-new", applied: 20, configuration: 1 }));
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
        world.received.set(`n-${name}`, heardOf(name, { applied: 20, configuration: 1 }, { skewMs }));
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

  test("does not hand over for its disk while a voter reports too few writes, or does not count them", async () => {
    const { steward, world, changes } = startSteward(
      ["a", "b", "c"].map((name) => member(name)),
      raft(["a", "b", "c"], { fsyncP99Ms: 500 }),
    );
    const tell = (fsyncSamples: number | undefined) => {
      for (const name of ["b", "c"])
        world.received.set(`n-${name}`, heardOf(name, { applied: 20, configuration: 1, fsyncSamples }));
    };
    for (const samples of [199, undefined]) {
      tell(samples);
      for (let tick = 0; tick < 4; tick += 1) await steward.tick();
    }
    expect(changes).toEqual([]);
    tell(200);
    await steward.tick();
    expect(changes).toEqual([{ do: "transfer", server: "s-b" }]);
  });

  test("names a voter with room while its own disk has none, also where its steps fail, and transfers nothing itself", async () => {
    const { steward, world, changes, lead } = startSteward(
      ["a", "b", "c", "d"].map((name) => member(name)),
      raft(["a", "b", "c"]),
    );
    const tell = (name: string, conditions: string[]) =>
      world.received.set(`n-${name}`, heardOf(name, { applied: 20, configuration: 1, conditions }));
    world.fails = true;
    for (const name of ["b", "c", "d"]) tell(name, []);
    for (let tick = 0; tick < 3; tick += 1) await steward.tick();
    expect(steward.successor()).toBe("");
    world.own = beat("a", { conditions: ["disk_full"] });
    tell("b", ["disk_full"]);
    await steward.tick();
    expect(steward.successor()).toBe("s-c");
    tell("c", ["disk_full"]);
    await steward.tick();
    expect(steward.successor()).toBe("");
    tell("b", []);
    await steward.tick();
    expect(steward.successor()).toBe("s-b");
    lead.abort();
    expect(steward.successor()).toBe("");
    expect(changes.every((change) => change.do === "add")).toBe(true);
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
    world.received.set("n-b", heardOf("b", { name: "bee", version: "2", level: 3, applied: 20 }));
    await steward.tick();
    expect(proposed.at(-1)).toMatchObject({
      name: "fleet_member_update",
      input: { node: "n-b", name: "bee", version: "2", level: 3 },
    });
    world.received.set("n-b", heardOf("b", { level: 3, applied: 20 }));
    await steward.tick();
    expect(proposed.at(-1)).toMatchObject({
      name: "fleet_level_raise",
      input: { level: 2, settings: DEFAULT_FLEET_SETTINGS },
    });
    raise(3);
    await steward.tick();
    expect(proposed).toHaveLength(2);
    // A name that no row can have changes none, and keeps nobody else from saying more.
    world.received.set("n-b", heardOf("b", { name: "b e", level: 3, applied: 20 }));
    world.received.set("n-e", heardOf("e", { role: "edge", version: "9", level: 1 }));
    await steward.tick();
    expect(proposed.at(-1)).toMatchObject({ name: "fleet_member_update", input: { node: "n-e", version: "9" } });
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
