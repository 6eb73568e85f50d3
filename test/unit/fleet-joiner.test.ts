// How a joiner finds its fleet without a network: which devices it looks at, which it asks, and in which order.

import { describe, expect, test } from "bun:test";
import { ABOUT } from "../../src/fleet/about.ts";
import { drawSecret } from "../../src/fleet/index.ts";
import { JOIN, joinRequest } from "../../src/fleet/join/admit.ts";
import { Fault } from "../../src/lib/fault.ts";
import { eventually } from "../kit/eventually.ts";
import { joiner, peer, startLeader, World } from "../kit/joining.ts";

/** Returns how a join ends. */
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => "joined",
    (error: unknown) =>
      error instanceof Fault ? `${error.code} ${String(error.details["reason"] ?? "")}`.trim() : String(error),
  );

describe("looking for a fleet", () => {
  test("it looks at once and then every two seconds, and says each text once", async () => {
    const world = new World();
    let looks = 0;
    const peers = async () => {
      looks += 1;
      return [];
    };
    const often = joiner(world, { peers });
    await eventually("several looks", () => looks > 5);
    await often.end();
    expect(often.lines).toHaveLength(1);
    looks = 0;
    const seldom = joiner(world, { peers, stepMs: undefined as never });
    await Bun.sleep(100);
    await seldom.end();
    expect(looks).toBe(1);
  });

  test("none is there: it waits, says so, and begins none; it joins when one appears", async () => {
    const world = new World();
    world.peers.push(peer("nPHONE", "phone"));
    const { done, until, conditions, opened } = joiner(world, {
      tags: ["tag:edge"],
      role: "edge",
      serverFor: async () => "",
    });
    await until("No member of a fleet called home answers");
    expect([conditions.has("waiting_for_fleet"), opened]).toEqual([true, []]);
    const leader = startLeader(world);
    await leader.begin();
    expect((await done).admitted.fleetId).toBe(leader.fleetId);
  });

  test("none is there for one that keeps data: it says where they are, and not how to begin a fleet without them", async () => {
    const world = new World();
    const kept = "What this node held, up to 0a1b2c3d4e-7, is kept in /data/retired/1, since: its log is gone";
    const { lines, until, conditions, end } = joiner(world, { kept });
    await until(`No member of a fleet called home answers on this tailnet. ${kept}`);
    expect([conditions.has("waiting_for_fleet"), conditions.has("waiting_with_data")]).toEqual([false, true]);
    const { text, hint } = conditions.list().find(({ code }) => code === "waiting_with_data") ?? {};
    expect([text, hint]).toEqual([expect.stringContaining(kept), expect.stringContaining("cairn recover")]);
    expect(`${lines.join()} ${text} ${hint}`).not.toMatch(/begins? a fleet|create a fleet/);
    const leader = startLeader(world);
    await leader.begin();
    await until("has to admit this node");
    expect(conditions.has("waiting_with_data")).toBe(false);
    await end();
  });

  test("two of one name: it chooses none and lists both", async () => {
    const world = new World();
    const [first, second] = [startLeader(world, "nONE"), startLeader(world, "nTWO")];
    await Promise.all([first.begin(), second.begin()]);
    const { lines, until, end, opened } = joiner(world);
    await until("2 fleets are called home");
    await end();
    for (const { fleetId } of [first, second]) expect(lines.join()).toContain(fleetId.slice(0, 8));
    expect(opened).toEqual([]);
  });

  test("another name, offline, shared and expired devices are not looked at", async () => {
    const world = new World();
    await startLeader(world, "nLEAD", "other").begin();
    world.peers.push(
      peer("nX", "x", { online: false }),
      peer("nY", "y", { shared: true }),
      peer("nZ", "z", { expired: true }),
      peer("nW", "w", { ips: [] }),
    );
    const { until, end } = joiner(world);
    await until("No member of a fleet called home answers");
    await end();
    expect(new Set(world.asked)).toEqual(new Set([`${ABOUT} nLEAD`]));
  });

  test.each(["lead", "LEAD.example.ts.net.", "100.64.0.5", "nLEAD"])("a member named as %s is found", async (host) => {
    const world = new World();
    world.add("nOTHER", "other", () => ({}));
    const leader = startLeader(world);
    await leader.begin();
    const { done } = joiner(world, { host, fleet: undefined, ticket: await leader.ticket("regional") });
    expect((await done).admitted.outcome).toBe("joined");
    expect(world.asked.filter((line) => line.endsWith("nOTHER"))).toEqual([]);
  });

  test("a named device that is not there, or that is of no fleet, is waited for", async () => {
    const world = new World();
    const { until, end } = joiner(world, { host: "phone" });
    await until("No device called phone is seen on the tailnet");
    world.peers.push(peer("nPHONE", "phone"));
    await until("phone does not answer as a node of a fleet");
    await end();
  });

  test("no fleet but that with the id that is known is joined, without a ticket too", async () => {
    const world = new World();
    const leader = startLeader(world);
    await leader.begin();
    const other = joiner(world, { fleetId: "0".repeat(32) });
    await other.until("than the one chosen before (00000000)");
    await other.end();
    expect(other.opened).toEqual([]);
    const ticket = { role: "regional" as const, fleetId: "0".repeat(32), secret: drawSecret() };
    const late = joiner(world, { ticket });
    await late.until("than this node's ticket (00000000)");
    await late.end();
    const same = joiner(world, {
      fleetId: leader.fleetId,
      role: "edge",
      tags: ["tag:edge"],
      serverFor: async () => "",
    });
    expect((await same.done).admitted.fleetId).toBe(leader.fleetId);
  });

  test("an admission to another fleet than the one it asked for is refused", async () => {
    const world = new World();
    const leader = startLeader(world);
    await leader.begin();
    world.answers.set("nLEAD", async (path, value, caller) => {
      if (path === ABOUT) return leader.about();
      const answer = await leader.admission.handle(caller, joinRequest.parse(value));
      return { ...answer, fleetId: "1".repeat(32) };
    });
    const edge = { role: "edge" as const, tags: ["tag:edge"], serverFor: async () => "" };
    await expect(joiner(world, edge).done).rejects.toMatchObject({
      code: "join_refused",
      facts: { reason: "other_fleet" },
    });
  });

  test("a named member of another fleet than wished is the end", async () => {
    const world = new World();
    await startLeader(world, "nLEAD", "other").begin();
    expect(await codeOf(joiner(world, { host: "lead", fleet: "home" }).done)).toBe("join_refused other_fleet");
  });

  test("a member that does not lead now is asked again", async () => {
    const world = new World();
    const leader = startLeader(world);
    await leader.begin();
    leader.lead(false);
    const { done, until } = joiner(world, { ticket: await leader.ticket("regional") });
    await until("does not admit this node yet");
    leader.lead(true);
    expect((await done).admitted.outcome).toBe("joined");
  });

  /** A member that does not lead and names one that does. */
  const addFollower = (world: World, leader: ReturnType<typeof startLeader>, id: string, named: string) =>
    world.add(id, "follower", (path) => {
      if (path === ABOUT) return { ...leader.about(), leader: named };
      throw new Fault("unavailable", "it does not lead");
    });
  const joins = (world: World) => world.asked.filter((line) => line.startsWith(JOIN)).map((line) => line.slice(5));

  test("a leader that only another member names is asked; a member that knows none is asked itself", async () => {
    const world = new World();
    const leader = startLeader(world, "nZZZ");
    await leader.begin();
    // The leader's own device does not show.
    world.peers.length = 0;
    addFollower(world, leader, "nAAA", "nZZZ");
    const ticket = await leader.ticket("regional");
    expect((await joiner(world, { ticket }).done).admitted.outcome).toBe("joined");
    expect(new Set(joins(world))).toEqual(new Set(["nZZZ"]));
    world.asked.length = 0;
    world.peers.length = 0;
    addFollower(world, leader, "nAAA", "");
    const { until, end } = joiner(world, { ticket });
    await until("follower of the fleet home does not admit this node yet: it does not lead");
    await end();
    expect(new Set(joins(world))).toEqual(new Set(["nAAA"]));
  });

  test("a node that says that it leads is asked before one that another names, and what failed last", async () => {
    const world = new World();
    const leader = startLeader(world, "nZZZ");
    addFollower(world, leader, "nAAA", "nBBB");
    await leader.begin();
    const { until, end } = joiner(world);
    await until("members approve");
    await eventually("three rounds", () => joins(world).length >= 6);
    await end();
    // Nothing answers at nBBB. nZZZ keeps the node waiting, which is no failure.
    expect(joins(world).slice(0, 6)).toEqual(["nZZZ", "nBBB", "nZZZ", "nBBB", "nZZZ", "nBBB"]);
  });

  test.each([false, true])(
    "of nodes that say that they lead, that one is asked last that failed; by ticket: %p",
    async (byTicket) => {
      const world = new World();
      const leader = startLeader(world, "nZZZ");
      await leader.begin();
      addFollower(world, leader, "nAAA", "nAAA");
      let looks = 0;
      const peers = async () => {
        looks += 1;
        return world.peers.filter(({ id }) => looks > 2 || id === "nAAA");
      };
      const { until, done, end } = joiner(world, {
        peers,
        ...(byTicket ? { ticket: await leader.ticket("regional") } : {}),
      });
      await (byTicket ? done : until("members approve"));
      await end();
      expect(joins(world).slice(0, 3)).toEqual(["nAAA", "nAAA", "nZZZ"]);
    },
  );

  test("its own word on a leader counts before that of another member", async () => {
    const world = new World();
    const leader = startLeader(world, "nZZZ");
    await leader.begin();
    leader.lead(false);
    addFollower(world, leader, "nAAA", "nZZZ");
    const { until, end } = joiner(world);
    await until("lead of the fleet home does not admit this node yet");
    await end();
  });

  test("a rogue is not asked again by the word of another device", async () => {
    const world = new World();
    const leader = startLeader(world, "nZZZ");
    await leader.begin();
    leader.lead(false);
    world.add("nAAA", "rogue", (path) =>
      path === ABOUT ? { ...leader.about(), leader: "nAAA" } : { proof: "0".repeat(64) },
    );
    addFollower(world, leader, "nBBB", "nAAA");
    const { until, end } = joiner(world, { ticket: await leader.ticket("regional") });
    await until("nAAA says it is of this node's fleet");
    await eventually("more rounds", () => joins(world).length > 6);
    await end();
    expect(joins(world).filter((node) => node === "nAAA")).toHaveLength(1);
  });
});
