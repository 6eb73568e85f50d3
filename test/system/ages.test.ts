// What a real node may answer by itself after it was paused, cut off or restarted: how old an answer says that it is,
// and that a caller never reads less than this node acknowledged.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Answer, localHttp } from "../kit/agent.ts";
import { eventually } from "../kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../kit/fleet.ts";

const PAUSE_MS = 6000;
/** More of them than a leader answers before it finds out that it does not lead. */
const READS = 20;

let fleet: Fleet;
let edge: FleetNode;

beforeAll(async () => {
  fleet = await startFleet({ centrals: 3, edges: 1 });
  await fleet.settle();
  const found = fleet.nodes.find(({ role }) => role === "edge");
  if (found === undefined) throw new Error("no edge");
  edge = found;
}, 300_000);

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
}, 60_000);

const centrals = () => fleet.nodes.filter(({ role }) => role === "central");
const ageOf = ({ headers }: Answer) => headers.get("age");

async function put(node: FleetNode, id: string, content: string): Promise<void> {
  let seen = "";
  await eventually(
    `${node.name} to write ${id}`,
    async () => {
      const { status, text } = await node.call("context_put", { id, content }, 10_000);
      seen = `${status} ${text}`;
      return status === 200;
    },
    { withinMs: 30_000, seen: () => seen },
  );
}

test("a leader that was paused says how old its answers may be", async () => {
  const old = await fleet.leader();
  await put(old, "team-a/pause", "before");
  const socket = await old.socket();
  old.pause();
  const pausedMs = performance.now();
  const next = await fleet.leader(old);
  await put(next, "team-a/pause", "after");
  await Bun.sleep(PAUSE_MS - (performance.now() - pausedMs));
  const asked = Array.from({ length: READS }, () =>
    localHttp(socket, "/contexts/team-a/pause", { headers: { "cairn-consistency": "any" } }),
  );
  // The requests wait in its socket: it reads them before it hears of the new leader.
  await Bun.sleep(200);
  const awayMs = performance.now() - pausedMs;
  old.resume();
  for (const answer of await Promise.all(asked)) {
    expect(answer.status).toBe(200);
    if (answer.text === "before") expect(Number(ageOf(answer) ?? -1)).toBeGreaterThanOrEqual(Math.floor(awayMs / 1000));
  }
}, 90_000);

test("what an edge passes on is as old as its upstream's state", async () => {
  await fleet.settle();
  await put(edge, "team-a/list", "x");
  const upstream = (await edge.status())?.cache?.upstream;
  const others = centrals().filter(({ id }) => id !== upstream);
  expect(others).toHaveLength(2);
  const list = () => edge.call("context_list", { prefix: "team-a/" }, 10_000);
  const near = await eventually("a list with an age", async () => {
    const answer = await list();
    return answer.status === 200 && ageOf(answer) !== null ? answer : undefined;
  });
  expect(Number(ageOf(near))).toBeLessThanOrEqual(5);
  for (const node of others) node.pause();
  await Bun.sleep(PAUSE_MS);
  const answer = await list();
  for (const node of others) node.resume();
  expect([answer.status, answer.text]).toEqual([200, answer.text]);
  expect(Number(ageOf(answer) ?? -1)).toBeGreaterThanOrEqual(Math.floor(PAUSE_MS / 1000) - 1);
}, 90_000);

test("a member whose store lost its last writes never gives less than it had acknowledged", async () => {
  await fleet.settle();
  const leader = await fleet.leader();
  const member = centrals().find((node) => node !== leader);
  if (member === undefined) throw new Error("no follower");
  const others = centrals().filter((node) => node !== member);
  await put(member, "team-a/own", "before");
  await member.process.stop();
  const store = join(member.dataDir, "store");
  cpSync(store, `${store}.before`, { recursive: true });
  await member.restart();
  await member.serving();
  await put(member, "team-a/own", "acknowledged");
  member.kill();
  await member.process.exited();
  // As after a loss of power: the store is not synced with each write, the log is.
  rmSync(store, { recursive: true });
  cpSync(`${store}.before`, store, { recursive: true });
  for (const node of others) node.pause();
  await member.restart();
  await member.process.ready();
  const read = (consistency: string) => member.call("context_get", { id: "team-a/own", consistency }, 10_000);
  expect(JSON.parse((await read("any")).text).content).toBe("before");
  const refused = await read("session");
  expect([refused.status, refused.body["code"], refused.headers.get("retry-after")]).toEqual([503, "unavailable", "1"]);
  for (const node of others) node.resume();
  const answer = await eventually("the session read", async () => {
    const found = await read("session");
    return found.status === 200 ? found : undefined;
  });
  expect(answer.body["content"]).toBe("acknowledged");
}, 120_000);
