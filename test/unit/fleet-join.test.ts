// Getting in, without a network: joiners and a leader whose log is a real store, over a link that a test can bend. Who
// is believed, who is refused, who waits.

import { describe, expect, test } from "bun:test";
import { Access } from "../../src/access/access.ts";
import { ABOUT } from "../../src/fleet/about.ts";
import { drawSecret, hashOf, parseTicket, sentJoinRequest, type Ticket, ticketText } from "../../src/fleet/index.ts";
import { JOIN, joinRequest, notTheLeader } from "../../src/fleet/join/admit.ts";
import { Fault } from "../../src/lib/fault.ts";
import { KNOWN_LEVEL } from "../../src/log/level.ts";
import { servePeers } from "../../src/membership/serve-peers.ts";
import { encodeFrame, FRAME_TYPE } from "../../src/peer/frames.ts";
import { PeerServer } from "../../src/peer/server.ts";
import { callerWith } from "../kit/core.ts";
import { joiner, startLeader, World } from "../kit/joining.ts";

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => "joined",
    (error: unknown) =>
      error instanceof Fault ? `${error.code} ${String(error.details["reason"] ?? "")}`.trim() : String(error),
  );

describe("by ticket", () => {
  test("in, with the members and what they survive; the secret went only to the node that proved itself", async () => {
    const world = new World();
    const leader = startLeader(world);
    await leader.begin();
    const { done, conditions } = joiner(world, { ticket: await leader.ticket("regional") });
    const { admitted, server } = await done;
    expect(admitted).toMatchObject({
      outcome: "joined",
      role: "regional",
      fleetId: leader.fleetId,
      survives: "No voter may fail.",
    });
    expect(admitted.members.map(({ node }) => node)).toEqual(["nLEAD", "nNEW"]);
    expect([server, conditions.list()]).toEqual(["s-nNEW", []]);
  });

  test("in by a ticket that the leader of before acknowledged and the one of now has not applied yet", async () => {
    const world = new World();
    const leader = startLeader(world);
    await leader.begin();
    const secret = drawSecret();
    let owed = true;
    leader.owes(async () => {
      if (owed) await leader.run("fleet_ticket_create", { hash: hashOf(secret), role: "regional" });
      owed = false;
    });
    const { done } = joiner(world, { ticket: { role: "regional", fleetId: leader.fleetId, secret } });
    expect((await done).admitted.outcome).toBe("joined");
    // It may be asked first without a proof, too.
    const late = drawSecret();
    leader.owes(() => leader.run("fleet_ticket_create", { hash: hashOf(late), role: "regional" }));
    const request = {
      ask: "join" as const,
      fleet: leader.fleetId,
      server: "s-y",
      name: "y",
      version: "1",
      level: KNOWN_LEVEL,
    };
    expect(await leader.admission.handle(callerWith({ id: "nY" }), { ...request, secret: late })).toMatchObject({
      outcome: "joined",
    });
  });

  test("a rogue with the fleet's name and id gets no secret, is asked no more, and the right one is found", async () => {
    const world = new World();
    const seen: unknown[] = [];
    const leader = startLeader(world, "nZZZ");
    await leader.begin();
    world.add("nAAA", "rogue", (path, value) => {
      seen.push(value);
      return path === ABOUT ? { ...leader.about(), leader: "nAAA" } : { proof: "0".repeat(64) };
    });
    const ticket = await leader.ticket("regional");
    const { done, until } = joiner(world, { ticket });
    await until("nAAA says it is of this node's fleet");
    expect((await done).admitted.outcome).toBe("joined");
    expect(JSON.stringify(seen)).not.toContain(ticket.secret);
    expect(JSON.stringify(seen)).not.toContain(hashOf(ticket.secret));
  });

  test("a rogue in between that passes the question on cannot use the answer", async () => {
    const world = new World();
    const leader = startLeader(world, "nZZZ");
    await leader.begin();
    world.add("nAAA", "rogue", (path, value, caller) =>
      path === ABOUT
        ? { ...leader.about(), leader: "nAAA" }
        : leader.admission.handle(caller, joinRequest.parse(value)),
    );
    const { done } = joiner(world, { ticket: await leader.ticket("regional") });
    await done;
    expect(world.asked.filter((line) => line === `${JOIN} nAAA`)).toHaveLength(1);
  });

  test("only a rogue there: the node waits, and then says that no one knows its ticket", async () => {
    const world = new World();
    const leader = startLeader(world);
    await leader.begin();
    world.answers.clear();
    world.peers.length = 0;
    world.add("nAAA", "rogue", (path) => {
      if (path === ABOUT) return { ...leader.about(), leader: "nAAA" };
      throw new Fault("join_refused", "no");
    });
    expect(await codeOf(joiner(world, { ticket: await leader.ticket("regional") }).done)).toBe("join_refused");
  });

  test("a rogue that tells of the fleet and hangs when it is to prove itself holds no one up", async () => {
    const world = new World();
    const leader = startLeader(world, "nZZZ");
    await leader.begin();
    for (const id of ["nAAA", "nBBB"])
      world.add(id, "rogue", (path) => (path === ABOUT ? { ...leader.about(), leader: id } : new Promise(() => {})));
    const begin = performance.now();
    const { done } = joiner(world, { ticket: await leader.ticket("regional"), candidateMs: 10_000 });
    expect((await done).admitted.outcome).toBe("joined");
    expect(performance.now() - begin).toBeLessThan(5_000);
  });

  test("of another fleet with the same name is not even opened for", async () => {
    const world = new World();
    const leader = startLeader(world);
    await leader.begin();
    const { until, opened, end } = joiner(world, {
      ticket: { role: "regional", fleetId: "0".repeat(32), secret: drawSecret() },
    });
    await until("with another id");
    await end();
    expect([opened, world.asked.filter((line) => line.startsWith(JOIN))]).toEqual([[], []]);
  });

  test.each([
    ["used", "ticket_used"],
    ["late", "ticket_expired"],
    ["of another device", "ticket_other_node"],
    ["of another role", "ticket_other_role"],
  ] as const)("%s is the end: %s", async (what, reason) => {
    const world = new World();
    const leader = startLeader(world);
    await leader.begin();
    const ticket = await leader.ticket("regional", what === "of another device" ? { node: "nOTHER" } : {});
    if (what === "used") await joiner(world, { ticket, node: "nFIRST" }).done;
    if (what === "late") leader.wait(15 * 60_000);
    const options = what === "of another role" ? { ticket, role: "central" as const } : { ticket };
    expect(await codeOf(joiner(world, options).done)).toBe(`join_refused ${reason}`);
  });
});

describe("without a ticket", () => {
  test.each([
    ["hangs", () => new Promise(() => {})],
    ["keeps it waiting", () => ({ outcome: "pending" })],
    [
      "refuses",
      () => {
        throw new Fault("join_refused", "no");
      },
    ],
  ] as const)("a rogue with the fleet's id that %s does not keep it from the leader", async (_what, answer) => {
    const world = new World();
    const leader = startLeader(world, "nZZZ");
    await leader.begin();
    world.add("nAAA", "rogue", (path) => (path === ABOUT ? { ...leader.about(), leader: "nAAA" } : answer()));
    const { done, until } = joiner(world, { candidateMs: 50 });
    await until("members approve");
    for (let count = 0; count < 400 && leader.admission.pending().length === 0; count += 1) await Bun.sleep(5);
    await leader.run("fleet_member_approve", { node: "nNEW", role: "regional" });
    expect((await done).admitted).toMatchObject({ outcome: "joined", fleetId: leader.fleetId });
  });

  test("it waits, is listed, and comes in once it is approved", async () => {
    const world = new World();
    const leader = startLeader(world);
    await leader.begin();
    const { done, until, conditions } = joiner(world, { role: "central" });
    await until("cairn members approve new --role central");
    expect(conditions.has("waiting_for_approval")).toBe(true);
    expect(leader.admission.pending()).toMatchObject([
      { node: "nNEW", name: "new", role: "central", caller: "user:alice@example.com", version: "1" },
    ]);
    await leader.run("fleet_member_approve", { node: "nNEW", role: "central" });
    expect((await done).admitted.role).toBe("central");
    expect([leader.admission.pending(), conditions.list()]).toEqual([[], []]);
  });

  test("who stops asking is forgotten, and no more than 32 wait", async () => {
    const world = new World();
    const leader = startLeader(world);
    await leader.begin();
    const ask = (node: string) =>
      leader.admission.handle(callerWith({ id: node }), {
        ask: "join",
        fleet: leader.fleetId,
        server: `s-${node}`,
        name: node,
        version: "1",
        level: KNOWN_LEVEL,
      });
    for (let count = 0; count < 32; count += 1) expect(await ask(`n${count}`)).toEqual({ outcome: "pending" });
    expect(await codeOf(ask("n99"))).toStartWith("rate_limited");
    // One that waits already may go on asking.
    expect(await ask("n0")).toEqual({ outcome: "pending" });
    leader.wait(60_000);
    expect(await codeOf(ask("n99"))).toStartWith("rate_limited");
    leader.wait(1);
    expect(await ask("n99")).toEqual({ outcome: "pending" });
    expect(leader.admission.pending()).toHaveLength(1);
  });

  test("a device that waits is listed with its tags, since when it waits, and when it asked last", async () => {
    const leader = startLeader(new World());
    await leader.begin();
    const caller = callerWith({ id: "nX", kind: "tagged", login: "", tags: ["tag:a", "tag:b"] });
    const request = { ask: "join" as const, fleet: leader.fleetId, server: "s-x", name: "x", version: "1", level: 1 };
    await leader.admission.handle(caller, request);
    const [first] = leader.admission.pending();
    leader.wait(5_000);
    await leader.admission.handle(caller, request);
    const sinceMs = Date.parse("2026-01-01T00:00:00Z");
    expect(first).toMatchObject({ caller: "tag:a, tag:b", role: "", sinceMs, lastMs: sinceMs });
    expect(leader.admission.pending()).toMatchObject([{ sinceMs, lastMs: sinceMs + 5_000 }]);
  });

  test("a grant lets an edge in, and no one else", async () => {
    const world = new World();
    const leader = startLeader(world);
    await leader.begin();
    const edge = { role: "edge" as const, serverFor: async () => "" };
    expect((await joiner(world, { ...edge, node: "nE", tags: ["tag:edge"] }).done).admitted.role).toBe("edge");
    const other = joiner(world, { ...edge, node: "nF", tags: ["tag:none"] });
    await other.until("members approve");
    await other.end();
  });

  test("what any device can ask all day is not written to the log", async () => {
    const world = new World();
    const leader = startLeader(world);
    await leader.begin();
    const ask = {
      ask: "join" as const,
      fleet: leader.fleetId,
      server: "s-x",
      name: "x",
      version: "1",
      level: KNOWN_LEVEL,
    };
    const stranger = callerWith({ id: "nX" });
    for (let count = 0; count < 5; count += 1)
      expect(await leader.admission.handle(stranger, ask)).toEqual({ outcome: "pending" });
    const guess = leader.admission.handle(stranger, { ...ask, secret: drawSecret() });
    expect(await codeOf(guess)).toBe("join_refused ticket_unknown");
    const otherFleet = leader.admission.handle(stranger, { ...ask, fleet: "other" });
    expect(await codeOf(otherFleet)).toBe("join_refused other_fleet");
    expect(leader.proposed()).toBe(0);
    const old = leader.admission.handle(callerWith({ id: "nLEAD" }), { ...ask, server: "s-lead", level: KNOWN_LEVEL });
    expect(await old).toMatchObject({ outcome: "member" });
    expect(leader.proposed()).toBe(1);
  });

  test("with a server id that no raft folder has, it is refused before anything is proposed", async () => {
    const leader = startLeader(new World());
    await leader.begin();
    const { role } = await leader.ticket("regional");
    const sent = { ask: "join", fleet: leader.fleetId, name: "x", role, version: "1", level: KNOWN_LEVEL };
    for (const server of ["x", "A".repeat(32), "a".repeat(33)])
      expect(sentJoinRequest.safeParse({ ...sent, server }).error?.issues[0]?.path).toEqual(["server"]);
    for (const server of ["", "a".repeat(32)])
      expect(sentJoinRequest.safeParse({ ...sent, server }).success).toBe(true);
    const server = new PeerServer({ members: () => undefined, onUnexpected: String });
    let isReady = false;
    servePeers(server, {
      access: new Access({ capability: "c", defaultRole: "none", admins: [] }),
      admission: leader.admission,
      beats: undefined as never,
      node: { tags: () => [] },
      ready: () => isReady,
      state: { about: leader.about, leading: () => true, leader: () => undefined, propose: async () => ({}) },
    });
    const ask = async (value: object, path = "join") => {
      const headers = { "content-type": FRAME_TYPE };
      const request = new Request(`http://peer:4747/peer/${path}`, {
        ...{ method: "POST", headers, body: encodeFrame(value) },
      });
      return (await server.fetch(request, callerWith({ id: "nX", own: true }))).status;
    };
    expect([await ask({ ...sent, server: "x" }), await ask({ ...sent, server: "a".repeat(32) })]).toEqual([400, 200]);
    // One that waits for its fleet's store has the id of none.
    expect(await ask({}, "about")).toBe(503);
    isReady = true;
    expect(await ask({}, "about")).toBe(200);
    expect(leader.proposed()).toBe(0);
  });

  test("a member that does not lead names the leader, or says that there is none", () => {
    expect(notTheLeader({ node: "nL", name: "lead" }, "Joining")).toMatchObject({
      code: "not_leader",
      hint: "Ask lead.",
    });
    expect(notTheLeader(undefined, "Joining")).toMatchObject({
      code: "not_leader",
      hint: expect.stringContaining("once there is a leader"),
    });
  });

  test("devices of other tailnets, and callers of its own machine, are refused", async () => {
    const world = new World();
    const leader = startLeader(world);
    await leader.begin();
    const request = {
      ask: "join" as const,
      fleet: leader.fleetId,
      server: "s",
      name: "x",
      version: "1",
      level: KNOWN_LEVEL,
    };
    for (const kind of ["shared", "local"] as const)
      expect(await codeOf(leader.admission.handle(callerWith({ kind }), request))).toBe("join_refused");
  });
});

test("a ticket's text is read back, and nothing else is a ticket", () => {
  const ticket: Ticket = { role: "edge", fleetId: "a".repeat(32), secret: drawSecret() };
  expect(parseTicket(`${ticketText(ticket)}\n`, "CAIRN_JOIN_TICKET")).toEqual(ticket);
  for (const text of [
    "",
    "tskey-auth-x",
    ticketText(ticket).slice(1),
    `${ticketText(ticket)}0`,
    ticketText(ticket).replace("edge", "admin"),
  ]) {
    const read = () => parseTicket(text, "CAIRN_JOIN_TICKET_FILE (ticket)");
    expect(read).toThrow("no ticket");
    try {
      read();
    } catch (error) {
      expect(String(error)).not.toContain(ticket.secret);
    }
  }
});
