// The steward with a fake clock, fake beats and a fake raft: a fleet that is driven to what its table says.

import { describe, expect, test } from "bun:test";
import type { ReceivedBeat } from "../../src/fleet/beats/beat.ts";
import { Steward } from "../../src/fleet/lead/steward.ts";
import { KnownMembers, type Members } from "../../src/fleet/members.ts";
import type { Member } from "../../src/fleet/rows.ts";
import { Fault } from "../../src/lib/fault.ts";
import type { Command } from "../../src/log/log.ts";
import type { RaftChange, RaftState } from "../../src/tailnet/index.ts";
import { beat, heardOf, member, raft } from "../kit/fleet-facts.ts";
import { DEFAULT_FLEET_SETTINGS } from "../kit/limits.ts";

/** A steward over a raft that does what it is told, and beats that say what a test says. */
function startSteward(members: readonly Member[], state: RaftState, leads = true) {
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
  const lines: string[] = [];
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
    log: (_level, line) => lines.push(line),
  });
  const lead = new AbortController();
  if (leads) steward.lead(lead.signal);
  return {
    steward,
    world,
    changes,
    proposed,
    lines,
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

  test("a newcomer that falls behind starts its three checks again", async () => {
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

  test("does nothing before it leads, and once it no longer leads", async () => {
    const joined = [member("a"), member("b")];
    const early = startSteward(joined, raft(["a"]), false);
    await early.steward.tick();
    const late = startSteward(joined, raft(["a"]));
    late.lead.abort();
    await late.steward.tick();
    expect([early.changes, late.changes]).toEqual([[], []]);
  });

  test("does at most eight steps a second, and one check at a time", async () => {
    const joined = Array.from({ length: 12 }, (_, index) => member(`j${index}`, "regional"));
    const { steward, changes } = startSteward([member("a"), ...joined], raft(["a"]));
    await Promise.all([steward.tick(), steward.tick()]);
    expect(changes).toHaveLength(8);
    await steward.tick();
    expect(changes).toHaveLength(12);
  });

  test("names no successor and takes no step where raft has lost the leadership before it is said", async () => {
    const { steward, world, changes, hear } = startSteward(
      ["a", "b", "c", "d"].map((name) => member(name)),
      raft(["a", "b", "c", "d"]),
    );
    for (let tick = 0; tick < 3; tick += 1) {
      hear("b", "c", "d");
      await steward.tick();
    }
    const before = changes.length;
    world.own = beat("a", { conditions: ["disk_full"] });
    world.state = { ...world.state, leading: false };
    await steward.tick();
    expect([steward.successor(), changes.length]).toEqual(["", before]);
  });

  test("a server that comes back starts its three checks again", async () => {
    const { steward, world, changes, hear } = startSteward(
      ["a", "b", "c"].map((name) => member(name)),
      raft(["a"], { members: ["a", "b", "c"].map((name) => ({ server: `s-${name}`, voter: name === "a" })) }),
    );
    const check = async () => {
      hear("b", "c");
      await steward.tick();
    };
    for (let tick = 0; tick < 3; tick += 1) await check();
    world.state = { ...world.state, members: world.state.members.filter(({ server }) => server !== "s-b") };
    // It is added again, and has kept up at one check after that.
    await check();
    await check();
    expect(changes.map((change) => change.do)).toEqual(["add"]);
  });

  test("demotes a voter that is no member any more only while most of the others are alive", async () => {
    const { steward, world, changes, hear } = startSteward([member("a"), member("b")], raft(["a", "b", "c"]));
    hear("b");
    world.away.add("n-b");
    await steward.tick();
    expect(changes).toEqual([]);
    world.away.clear();
    await steward.tick();
    expect(changes.map((change) => `${change.do} ${"server" in change ? change.server : ""}`)).toEqual([
      "demote s-c",
      "demote s-b",
      "remove s-c",
    ]);
  });

  test("replaces a voter that is lost by a standby that has kept up", async () => {
    const { steward, world, changes, hear } = startSteward(
      ["a", "b", "c", "d"].map((name) => member(name)),
      raft(["a", "b", "c"], {
        members: ["a", "b", "c", "d"].map((name) => ({ server: `s-${name}`, voter: name !== "d" })),
      }),
    );
    world.away.add("n-c");
    for (let tick = 0; tick < 6; tick += 1) {
      hear("b", "d");
      await steward.tick();
    }
    expect(changes.map((change) => `${change.do} ${"server" in change ? change.server : ""}`)).toEqual([
      "demote s-c",
      "promote s-d",
    ]);
  });

  test("promotes none while a voter that is not lost has told nothing of its configuration", async () => {
    const names = ["a", "b", "c", "d", "e"];
    const { steward, changes, hear } = startSteward(
      names.map((name) => member(name)),
      raft([], { members: names.map((name) => ({ server: `s-${name}`, voter: name < "d" })) }),
    );
    for (let tick = 0; tick < 5; tick += 1) {
      hear("c", "d", "e");
      await steward.tick();
    }
    expect(changes).toEqual([]);
    hear("b");
    await steward.tick();
    expect(changes.map((change) => change.do)).toEqual(["promote"]);
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

  test("hands over to no voter that is behind, and not for the clock of one voter among three", async () => {
    const { steward, world, changes } = startSteward(
      ["a", "b", "c"].map((name) => member(name)),
      raft(["a", "b", "c"], { fsyncP99Ms: 500 }),
    );
    for (let tick = 0; tick < 3; tick += 1) {
      world.received.set("n-b", heardOf("b", { applied: 3, configuration: 1 }));
      world.received.set("n-c", heardOf("c", { applied: 20, configuration: 1, fsyncP99Ms: 2 }));
      await steward.tick();
    }
    expect(changes).toEqual([{ do: "transfer", server: "s-c" }]);
    world.state = { ...world.state, fsyncP99Ms: 1 };
    world.monotonicMs = 3_600_000;
    world.received.set("n-b", heardOf("b", { applied: 20, configuration: 1 }, { skewMs: 90_000 }));
    for (let tick = 0; tick < 3; tick += 1) await steward.tick();
    expect(changes).toHaveLength(1);
  });

  test("does not update a row in the second of a handover, and does while it must not hand over again", async () => {
    const { steward, world, changes, proposed } = startSteward(
      ["a", "b", "c"].map((name) => member(name)),
      raft(["a", "b", "c"], { fsyncP99Ms: 500 }),
    );
    const tell = (version: string) => {
      for (const name of ["b", "c"])
        world.received.set(`n-${name}`, heardOf(name, { applied: 20, configuration: 1, version }));
    };
    tell("1");
    await steward.tick();
    tell("2");
    await steward.tick();
    expect([changes.length, proposed.length]).toEqual([1, 0]);
    await steward.tick();
    expect(changes).toHaveLength(1);
    expect(proposed).toMatchObject([{ name: "fleet_member_update", input: { node: "n-b", version: "2" } }]);
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
    const { steward, world, changes, lines, lead } = startSteward(
      ["a", "b", "c", "d"].map((name) => member(name)),
      raft(["a", "b", "c"]),
    );
    const handovers = () => lines.filter((line) => line.includes("handing over"));
    const tell = (name: string, conditions: string[]) =>
      world.received.set(`n-${name}`, heardOf(name, { applied: 20, configuration: 1, conditions }));
    world.fails = true;
    for (const name of ["b", "c", "d"]) tell(name, []);
    for (let tick = 0; tick < 3; tick += 1) await steward.tick();
    expect(steward.successor()).toBe("");
    world.own = beat("a", { conditions: ["disk_full"] });
    tell("b", ["disk_full"]);
    await steward.tick();
    expect(handovers()).toHaveLength(1);
    await steward.tick();
    expect(steward.successor()).toBe("s-c");
    expect(handovers()).toEqual([expect.stringContaining("to c (n-c)")]);
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
    raise(2);
    await steward.tick();
    expect(proposed.at(-1)).toMatchObject({ name: "fleet_level_raise", input: { level: 3 } });
    raise(3);
    await steward.tick();
    expect(proposed).toHaveLength(3);
    // A name that no row can have changes none, and keeps nobody else from saying more.
    world.received.set("n-b", heardOf("b", { name: "b e", level: 3, applied: 20 }));
    world.received.set("n-e", heardOf("e", { role: "edge", version: "9", level: 1 }));
    await steward.tick();
    expect(proposed.at(-1)).toMatchObject({ name: "fleet_member_update", input: { node: "n-e", version: "9" } });
  });

  test("does not raise the level while one full member is below the next", async () => {
    const rows = [
      { ...member("a"), level: 2 },
      { ...member("b"), level: 1 },
    ];
    const { steward, world, proposed, hear } = startSteward(rows, raft(["a", "b"]));
    world.own = beat("a", { level: 2 });
    hear("b");
    await steward.tick();
    expect(proposed).toEqual([]);
  });

  test("a step that fails is tried again, reported once, and nothing is thrown", async () => {
    const { steward, world, changes, lines, lead } = startSteward([member("a"), member("b")], raft(["a"]));
    const waits = () => lines.filter((line) => line.includes("another change came first"));
    world.fails = true;
    for (let tick = 0; tick < 3; tick += 1) {
      await steward.tick();
      expect([world.state.members.length, waits().length]).toEqual([1, 1]);
    }
    world.fails = false;
    await steward.tick();
    expect(changes).toMatchObject(Array.from({ length: 4 }, () => ({ do: "add", server: "s-b" })));
    expect(world.state.members).toHaveLength(2);
    // What fails because the leadership has ended is no news.
    world.state = raft(["a"]);
    world.fails = true;
    const last = steward.tick();
    lead.abort();
    await last;
    expect(waits()).toHaveLength(1);
  });
});
