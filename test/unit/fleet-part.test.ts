// What status tells of a fleet, and what a lonely node says of others in sight.

import { describe, expect, test } from "bun:test";
import type { About } from "../../src/fleet/about.ts";
import { type FleetFacts, fleetPart } from "../../src/fleet/fleet-part.ts";
import { nodeReport } from "../../src/fleet/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { FleetScanner } from "../../src/membership/fleet-scanner.ts";
import { PeerConnection } from "../../src/membership/peer-connection.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import type { Peer } from "../../src/tailnet/index.ts";
import { beat, heardOf, member, ofLeader, raft } from "../kit/fleet-facts.ts";

function peer(name: string, more: Partial<Peer> = {}): Peer {
  return {
    id: `n-${name}`,
    hostname: name,
    dnsName: `${name}.ts.net`,
    ips: ["100.64.0.9"],
    tags: [],
    login: "",
    userId: "1",
    os: "linux",
    online: true,
    lastSeen: null,
    path: "direct" as const,
    relay: "",
    expired: false,
    shared: false,
    ...more,
  };
}

function facts(more: Partial<FleetFacts> = {}): FleetFacts {
  return {
    ...ofLeader(),
    members: [member("a"), member("b"), member("e", "edge")],
    raft: raft(["a"]),
    received: (node) =>
      node === "n-a" ? undefined : heardOf(node.slice(2), { seq: 7 }, { atMs: 500, roundTripMs: 12.34 }),
    isAway: () => false,
    peers: [peer("b", { path: "relay", relay: "fra" })],
    monotonicMs: 1_500,
    ...more,
  };
}

describe("the fleet's part of status", () => {
  test("shows each member as this node knows it, in the shape that is promised", () => {
    const found = fleetPart(facts());
    const { role, fleet_size, fleet, members } = nodeReport
      .pick({ role: true, fleet_size: true, fleet: true, members: true })
      .parse(found);
    expect([role, fleet_size, fleet.leader, fleet.voters, fleet.position]).toEqual(["central", 3, "a", 1, "e-10"]);
    expect(members[0]).toMatchObject({
      self: true,
      votes: true,
      leader: true,
      lag: 0,
      path: "self",
      round_trip_ms: null,
    });
    expect(members[1]).toMatchObject({
      votes: false,
      lag: 3,
      path: "relay",
      relay: "fra",
      round_trip_ms: 12.3,
      age_seconds: 1,
    });
    expect(members[2]).toMatchObject({ role: "edge", path: "none", votes: false });
  });

  test("members have the names that the tailnet shows, whatever they call themselves", () => {
    const claims = [member("a"), { ...member("b"), name: "a" }, { ...member("c"), name: "B-2" }];
    const named = (peers: readonly Peer[]) =>
      fleetPart(facts({ members: claims, peers })).members.map(({ node, name }) => [node, name]);
    expect(named([peer("b", { dnsName: "b-2.ts.net" }), peer("c")])).toEqual([
      ["n-a", "a"],
      ["n-b", "b-2"],
      ["n-c", "c"],
    ]);
    // Those that the tailnet does not show take no name of another device.
    expect(named([])).toEqual([
      ["n-a", "a"],
      ["n-b", "n-b"],
      ["n-c", "B-2"],
    ]);
    expect(named([peer("d", { dnsName: "b-2.ts.net" })])[2]).toEqual(["n-c", "n-c"]);
  });

  test("a member that was never heard has no position and no age", () => {
    const [, b] = fleetPart(facts({ received: () => undefined })).members;
    expect(b).toMatchObject({ position: "", lag: null, age_seconds: null, round_trip_ms: null });
  });

  test("a node that waits to be let in is of no fleet, whatever its empty store says", () => {
    const found = fleetPart(facts({ ready: false, members: [], raft: undefined }));
    expect(found.fleet).toMatchObject({
      id: "",
      voters: 0,
      survives: "This node is in no fleet yet: it waits to be admitted, or for the store.",
    });
  });

  test("an edge, which asks no raft, counts as many voters as an odd number of centrals gives", () => {
    const two = facts({ raft: undefined, self: "n-e", role: "edge", leaderNode: "n-b" });
    const found = fleetPart(two);
    expect(found.members.filter(({ votes }) => votes).map(({ name }) => name)).toEqual(["b"]);
    expect(found.fleet.survives).toContain("with two full nodes there is no automatic failover");
  });

  test("voters that are not heard are not counted as there", () => {
    const three = { members: ["a", "b", "c"].map((name) => member(name)), raft: raft(["a", "b", "c"]) };
    expect(fleetPart(facts(three)).fleet.survives).toBe("1 of 3 voters may fail.");
    expect(fleetPart(facts({ ...three, isAway: (node) => node === "n-b" })).fleet.survives).toStartWith(
      "No more voter may fail; 1 does",
    );
    expect(fleetPart(facts({ ...three, isAway: () => true })).fleet.survives).toStartWith("No writes now: 1 of 3");
  });

  test("a raft voter that is no member, and one of a removed node, is not counted as there", () => {
    const strange = { members: ["a", "b"].map((name) => member(name)), raft: raft(["a", "b", "x"]) };
    expect(fleetPart(facts(strange)).fleet).toMatchObject({ voters: 3, survives: expect.stringMatching(/^No more/) });
    expect(fleetPart(facts({ ...strange, removed: true })).fleet.survives).not.toContain("may fail;");
  });

  test("the leader is the member of the server that leads where no beat names it, and an edge never is", () => {
    const leads = (server: string) => {
      const { fleet, members } = fleetPart(facts({ leaderNode: undefined, leadership: { server, term: 2 } }));
      const marked = members.filter(({ leader }) => leader).map(({ name }) => name);
      return [fleet.leader, fleet.leader_node, marked, members.map(({ lag }) => lag)];
    };
    expect(leads("s-b")).toEqual(["b", "n-b", ["b"], [0, 0, 0]]);
    // Without one a member is compared with this node.
    for (const server of ["", "s-x"]) expect(leads(server)).toEqual(["", "", [], [0, 3, 3]]);
  });

  test("a node is itself by its id, and by its server as long as it knows no id", () => {
    const own = (more: Partial<FleetFacts>) =>
      fleetPart(facts(more))
        .members.filter(({ self }) => self)
        .map(({ name }) => name);
    expect([own({}), own({ raft: raft(["a"], { server: "s-b" }) })]).toEqual([["a"], ["a"]]);
    expect([own({ self: "" }), own({ self: "", raft: undefined }), own({ self: "n-x" })]).toEqual([["a"], [], []]);
  });

  test("a node that is alone is its own member, of which it knows what it measures", () => {
    const alone = fleetPart(facts({ members: [], own: beat("a", { fsyncP99Ms: 1.26, conditions: ["disk_low"] }) }));
    expect(alone).toMatchObject({ fleet_size: 1, fleet: { leader: "a", voters: 1 } });
    expect(alone.fleet).not.toHaveProperty("settings");
    expect(alone.members[0]).toMatchObject({ self: true, votes: true, fsync_p99_ms: 1.3, conditions: ["disk_low"] });
    const early = fleetPart(facts({ members: [], own: undefined }));
    expect(early.members[0]).toMatchObject({ fsync_p99_ms: null, conditions: [] });
    const settings = { "history.max_versions": "7" };
    expect(fleetPart(facts({ fleet: { ...facts().fleet, settings } })).fleet.settings).toEqual(settings);
  });

  test("another member has the version and level of its newest beat, and those of the table without one", () => {
    const newer = (node: string) => (node === "n-b" ? heardOf("b", { version: "2", level: 3 }) : undefined);
    const [, b, e] = fleetPart(facts({ received: newer })).members;
    expect([b?.version, b?.level, e?.version, e?.level]).toEqual(["2", 3, "1", 1]);
  });

  test("on an edge only centrals that stay count as voters, the one that leads first", () => {
    const leaving = { ...member("a"), state: "leaving" as const };
    const members = [leaving, member("b"), member("c"), member("d", "regional"), member("e", "edge")];
    const found = (leaderNode: string) =>
      fleetPart(facts({ raft: undefined, self: "n-e", role: "edge", members, leaderNode }))
        .members.filter(({ votes }) => votes)
        .map(({ name }) => name);
    expect([found("n-b"), found("n-c"), found("n-d")]).toEqual([["b"], ["c"], ["b"]]);
  });
});

describe("other fleets in sight", () => {
  const about = (fleetId: string, more: Partial<About> = {}): About => ({
    fleetId,
    fleet: "home",
    epoch: "e",
    profile: "home",
    role: "central",
    leader: "",
    size: 2,
    version: "1",
    level: 1,
    ...more,
  });

  function start(answers: Record<string, About>, alone = true) {
    const peers = new PeerConnection();
    peers.call = async (target) => {
      const found = "node" in target ? answers[target.node] : undefined;
      if (found === undefined) throw new Fault("unavailable", "no cairn");
      return found;
    };
    const conditions = new Conditions(() => {});
    const lines: string[] = [];
    const world = { alone, joins: () => {} };
    const sight = new FleetScanner({
      alone: () => world.alone,
      onMembers: (listener) => {
        world.joins = listener;
        return () => {};
      },
      fleetId: () => "mine",
      link: peers,
      conditions,
      peers: async () => ["x", "y", "z"].map((name) => peer(name)),
      say: (line) => lines.push(line),
    });
    return { sight, conditions, lines, world };
  }

  test("one line for each, naming its leader and how to join, said once; over when this node is not alone", async () => {
    const { sight, conditions, lines, world } = start({
      "n-x": about("other"),
      "n-y": about("other", { leader: "n-y" }),
    });
    await sight.scan();
    await sight.scan();
    expect(lines).toEqual(["The fleet home (2 members) is on this tailnet: cairn join y --role regional joins it"]);
    expect(conditions.has("other_fleet_in_sight")).toBe(true);
    world.alone = false;
    await sight.scan();
    expect(conditions.list()).toEqual([]);
  });

  test("who joins is in sight no longer at once, and not because of a look that began before", async () => {
    const { sight, conditions, world } = start({ "n-x": about("other") });
    sight.start();
    await sight.scan();
    expect(conditions.has("other_fleet_in_sight")).toBe(true);
    const looking = sight.scan();
    world.alone = false;
    world.joins();
    expect(conditions.list()).toEqual([]);
    await looking;
    expect(conditions.list()).toEqual([]);
    await sight.stop();
  });

  test("no one there is nothing to say", async () => {
    const { sight, conditions, lines } = start({});
    await sight.scan();
    expect([lines, conditions.list(), sight.copies()]).toEqual([[], [], ""]);
  });

  test("the own fleet's id on a device that is no member is a copied folder", async () => {
    const { sight, conditions } = start({ "n-z": about("mine") });
    await sight.scan();
    expect(sight.copies()).toContain("z has a fleet with this one's id");
    expect(conditions.has("other_fleet_in_sight")).toBe(false);
  });
});
