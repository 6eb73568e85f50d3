// Expiry in a fleet of whole nodes: a context is gone on every member at its time, also when the leader dies before it.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { eventually } from "../kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../kit/fleet.ts";

let fleet: Fleet;

beforeAll(async () => {
  fleet = await startFleet({ centrals: 3, edges: 1 });
  await fleet.settle();
}, 300_000);

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
}, 60_000);

const codeOf = async (node: FleetNode, id: string) => {
  const { status, body } = await node.call("context_get", { id }, 20_000);
  return status === 200 ? "there" : body["code"];
};

test("the next leader removes what its predecessor would have; members and edges agree", async () => {
  const leader = await fleet.leader();
  const others = [...fleet.up(["central"]).filter((node) => node !== leader), ...fleet.up(["edge"])];
  const [follower] = others;
  if (follower === undefined) throw new Error("no follower");
  for (const [id, expires_in] of [
    ["a/brief", 6],
    ["a/long", 3600],
  ]) {
    const { status } = await follower.call("context_put", { id, content: "x", expires_in }, 20_000);
    expect(status).toBe(200);
  }
  for (const node of others) expect([node.id, await codeOf(node, "a/brief")]).toEqual([node.id, "there"]);
  leader.kill();
  await eventually("the next leader to remove it", async () => {
    const { body } = await follower.call("context_history", { id: "a/brief" }, 20_000);
    return (body["versions"] as { deleted: boolean }[] | undefined)?.[0]?.deleted;
  });
  await leader.restart();
  await leader.serving();
  for (const node of [...others, leader]) {
    const what = `${node.id} to have it no more`;
    await eventually(what, async () => (await codeOf(node, "a/brief").catch(() => "")) === "deleted");
    expect([node.id, await codeOf(node, "a/long")]).toEqual([node.id, "there"]);
  }
  const { body } = await follower.call("audit_query", { prefix: "a/brief" }, 20_000);
  expect(body["rows"]).toMatchObject([{ outcome: "expired", caller: "node" }, { outcome: "created" }]);
}, 180_000);
