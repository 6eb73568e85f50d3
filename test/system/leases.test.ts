// Leases in a fleet of whole nodes: held through any of them, over a change of leader, and lost when nothing renews
// them.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { eventually } from "../kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../kit/fleet.ts";

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

async function acquire(node: FleetNode, name: string, more: object = {}): Promise<Record<string, unknown>> {
  const { status, body, text } = await node.call("lease_acquire", { name, ...more }, 20_000);
  expect([status, text]).toEqual([200, text]);
  return body;
}

test("is held through a follower and an edge: the claims of both, their waits and renewals", async () => {
  const held = await acquire(edge, "team-a/a", { for: "edge" });
  const queued = await acquire(follower, "team-a/a", { wait_seconds: 60 });
  expect(queued).toMatchObject({ granted: false, place: 1 });
  const refused = await leader.call("lease_acquire", { name: "team-a/a" });
  expect(refused.body).toMatchObject({ code: "lease_held", held_by: `local@${edge.id}`, for: "edge", waiting: 1 });
  expect(refused.body["expires_in_seconds"]).toBeGreaterThan(200);
  const renewal = { name: "team-a/a", fence: held["fence"] };
  expect((await edge.call("lease_renew", renewal)).body).toMatchObject({ safe_seconds: 293, waiting: 1 });
  // An edge has no leases: its upstream waits for it, for longer than other reads may take there.
  const claim = { name: "team-a/a", fence: queued["fence"], timeout_seconds: 30 };
  const waited = follower.call("lease_wait", claim, 40_000);
  const free = edge.call("lease_wait", { name: "team-a/b", timeout_seconds: 30 }, 40_000);
  expect((await free).body).toMatchObject({ state: "free" });
  expect((await edge.call("lease_release", renewal)).body).toMatchObject({
    released: true,
    granted_to: { caller: `local@${follower.id}` },
  });
  expect((await waited).body).toMatchObject({ state: "granted" });
  const { timeout_seconds: _, ...fence } = claim;
  expect((await follower.call("lease_renew", fence)).body).toMatchObject({ fence: queued["fence"] });
});

test("a wait through an edge lasts as long as it asks for", async () => {
  const held = await acquire(follower, "team-a/long");
  const begun = performance.now();
  const waited = edge.call("lease_wait", { name: "team-a/long", timeout_seconds: 12 }, 30_000);
  expect((await waited).body).toMatchObject({ state: "held", timed_out: true });
  expect(performance.now() - begun).toBeGreaterThan(11_500);
  await follower.call("lease_release", { name: "team-a/long", fence: held["fence"] });
}, 60_000);

test("outlives its leader, is renewed at the next one, and ends when nothing renews it", async () => {
  const held = await acquire(follower, "team-a/kept", { ttl_seconds: 5 });
  const fence = { name: "team-a/kept", fence: held["fence"] };
  const waiting = await acquire(edge, "team-a/kept", { wait_seconds: 600 });
  leader.kill();
  const renewed = await eventually("a renewal at the next leader", async () => {
    const answer = await follower.call("lease_renew", fence, 4_000).catch(() => undefined);
    return answer?.status === 200 ? answer : undefined;
  });
  expect(renewed.body).toMatchObject({ fence: held["fence"] });
  await leader.restart();
  await leader.serving();
  const granted = { name: "team-a/kept", fence: waiting["fence"], timeout_seconds: 30 };
  // The edge may have followed the node that was killed.
  await eventually("the next claim to be granted", async () => {
    const { body } = await edge.call("lease_wait", granted, 40_000);
    return body["state"] === "granted";
  });
  expect((await follower.call("lease_renew", fence)).body).toMatchObject({
    code: "lease_lost",
    held_by: `local@${edge.id}`,
  });
  const stale = await follower.call("context_put", { id: "team-a/doc", content: "x", fence: held["fence"] });
  expect(stale.body).toMatchObject({ code: "fence_stale", fence: waiting["fence"] });
  const current = await edge.call("context_put", { id: "team-a/doc", content: "x", fence: waiting["fence"] }, 20_000);
  expect(current.status).toBe(200);
}, 120_000);
