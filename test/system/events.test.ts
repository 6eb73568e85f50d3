// Events in a fleet of whole nodes: published and read through any of them, in one order, over the loss of the leader.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { eventually } from "../kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../kit/fleet.ts";

interface Seen {
  id: string;
  cairnposition: string;
  cairnnode?: string;
}

let fleet: Fleet;
let leader: FleetNode;
let follower: FleetNode;
let edge: FleetNode;

beforeAll(async () => {
  fleet = await startFleet({ centrals: 3, edges: 1 });
  ({ leader, follower, edge } = await fleet.oneOfEach());
}, 300_000);

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
}, 60_000);

async function ask(node: FleetNode, operation: string, input: object): Promise<Record<string, unknown>> {
  const { status, body, text } = await node.call(operation, input, 40_000);
  expect([operation, status, text]).toEqual([operation, 200, text]);
  return body;
}

async function listed(node: FleetNode, types: string): Promise<Seen[]> {
  const { events } = await ask(node, "event_list", { types: [types], limit: 1000, consistency: "leader" });
  return (events as Seen[]).reverse();
}

/** What a node has by itself, as every full member has it. */
async function state(node: FleetNode): Promise<unknown> {
  const { events } = await ask(node, "event_list", { limit: 1000, consistency: "any" });
  const { rows } = await ask(node, "audit_query", { limit: 200, consistency: "any" });
  return [events, rows];
}

test("is published on a follower, a leader and an edge, and waited for on each by the cursor of another", async () => {
  const { cursor: start } = await ask(leader, "event_wait", { timeout_seconds: 0 });
  const waiting = [leader, follower, edge].map((node) =>
    ask(node, "event_wait", { since: start, timeout_seconds: 30, own: true, limit: 1 }),
  );
  const first = await ask(follower, "event_publish", { type: "who.follower", id: "1" });
  for (const found of await Promise.all(waiting)) expect(found).toMatchObject({ events: [{ id: "1" }] });
  const { durability } = await ask(edge, "event_publish", { type: "who.edge", id: "2" });
  expect(durability).toBe("replicated; voters=3; sync=always");
  await ask(leader, "event_publish", { type: "who.leader", id: "3" });
  for (const node of [leader, follower, edge]) {
    const input = { since: first["cursor"], types: ["who.*"], timeout_seconds: 20, own: true };
    const found = (await ask(node, "event_wait", input))["events"] as Seen[];
    expect(found.map(({ id }) => id).join("")).toStartWith("2");
  }
  const all = await listed(leader, "who.*");
  expect(all.map(({ cairnnode }) => cairnnode)).toEqual([follower.id, edge.id, leader.id]);
  expect((await edge.call("event_publish_many", { events: [{ type: "who.edge" }, {}] }, 20_000)).body).toMatchObject({
    results: [{ duplicate: false }, { error: { field: "type" } }],
  });
}, 120_000);

test("loses and doubles no event over the loss of the leader, and every member has the same order", async () => {
  const wanted = 40;
  const sent = new Set<string>();
  const publish = async (id: string) => {
    await eventually(
      `the event ${id} to be taken`,
      async () => {
        const answer = await follower.call("event_publish", { type: "loss", id }, 10_000).catch(() => undefined);
        return answer?.status === 200 || undefined;
      },
      { withinMs: 60_000 },
    );
    sent.add(id);
  };
  for (let count = 0; count < wanted; count += 1) {
    const batch = [publish(`a${count}`), publish(`b${count}`)];
    if (count === 10) leader.kill();
    await Promise.all(batch);
  }
  await leader.restart();
  await leader.serving();
  await fleet.settle();
  const found = await listed(follower, "loss");
  expect(found.map(({ id }) => id).sort()).toEqual([...sent].sort());
  // Of all that came: what Cairn does is among them.
  const offsets = (await listed(follower, "*")).map(({ cairnposition }) => Number(cairnposition.split("-e")[1]));
  expect(offsets.length).toBeGreaterThan(2 * wanted);
  expect(offsets).toEqual(Array.from(offsets, (_, index) => index + 1));
  const [one, ...others] = await Promise.all(fleet.up(["central"]).map(state));
  for (const other of others) expect(other).toEqual(one);
  expect(others).toHaveLength(2);
  expect(await ask(follower, "audit_verify", {})).toMatchObject({ ok: true });
}, 240_000);

test("a member that is killed and comes back is an event each, once, of whoever leads by then", async () => {
  const killed = (await fleet.oneOfEach()).leader;
  const { cursor } = await ask(killed, "event_wait", { timeout_seconds: 0, space: "fleet" });
  const other = fleet.up(["central"]).find((node) => node !== killed) as FleetNode;
  const told = async () => {
    const answer = await other.call("event_list", { space: "fleet", limit: 1000, consistency: "leader" }, 40_000);
    const { events = [] } = answer.body;
    const since = Number(String(cursor).split("-e")[1]);
    return (events as (Seen & { type: string; subject: string })[])
      .filter(({ cairnposition }) => Number(cairnposition.split("-e")[1]) > since)
      .filter(({ type, subject }) => type.startsWith("cairn.member.") && subject === `fleet/health/${killed.id}`)
      .map(({ type }) => type)
      .reverse();
  };
  killed.kill();
  await eventually("the member to be down", async () => (await told()).length > 0, { withinMs: 90_000, stepMs: 500 });
  await killed.restart();
  await killed.serving();
  await eventually("the member to be up", async () => (await told()).length > 1, { withinMs: 90_000, stepMs: 500 });
  await fleet.settle();
  expect(await told()).toEqual(["cairn.member.down", "cairn.member.up"]);
  expect(await ask(other, "audit_verify", {})).toMatchObject({ ok: true });
}, 240_000);
