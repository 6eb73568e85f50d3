// What a real node may answer by itself after it was paused, cut off or restarted: how old an answer says that it is,
// and that a caller never reads less than this node acknowledged.

import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
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

/** Writes, and returns the position. */
function put(node: FleetNode, id: string, content: string): Promise<string> {
  let seen = "";
  return eventually(
    `${node.name} to write ${id}`,
    async () => {
      const { status, text, headers } = await node.call("context_put", { id, content }, 10_000);
      seen = `${status} ${text}`;
      return status === 200 ? (headers.get("cairn-position") ?? "") : undefined;
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
  // The requests wait in its socket: it reads them before it knows of the new leader.
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

/** Stops a node, copies a folder of its data, and starts it again. Returns what brings the copy back. */
async function copyOf(node: FleetNode, name: string): Promise<() => void> {
  await node.process.stop();
  const folder = join(node.dataDir, name);
  cpSync(folder, `${folder}.before`, { recursive: true });
  await node.restart();
  await node.serving();
  return () => {
    rmSync(folder, { recursive: true });
    cpSync(`${folder}.before`, folder, { recursive: true });
  };
}

test("a member whose store lost its last writes never gives less than it had acknowledged", async () => {
  await fleet.settle();
  const leader = await fleet.leader();
  const member = centrals().find((node) => node !== leader);
  if (member === undefined) throw new Error("no follower");
  const others = centrals().filter((node) => node !== member);
  await put(member, "team-a/own", "before");
  const restore = await copyOf(member, "store");
  await put(member, "team-a/own", "acknowledged");
  member.kill();
  await member.process.exited();
  // As after a loss of power: the store is not synced with each write, the log is.
  restore();
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

describe("an edge that is left with an upstream that lost its last writes", () => {
  let others: FleetNode[];
  let restore: () => void;
  /** Position of the last write that the edge returned, and the boot in which it did. */
  let position: string;
  let boot: string;

  const read = (consistency: string) => edge.call("context_get", { id: "team-a/edge", consistency }, 20_000);
  const list = () => edge.call("context_list", { prefix: "team-a/edge" }, 20_000);
  /** Opens the file of the edge while no process has it. */
  const file = () => new Database(join(edge.dataDir, "edge", "1", "cairn.db"));

  beforeAll(async () => {
    await fleet.settle();
    const leader = await fleet.leader();
    const member = centrals().find((node) => node !== leader);
    if (member === undefined) throw new Error("no follower");
    others = centrals().filter((node) => node !== member);
    await put(edge, "team-a/edge", "before");
    restore = await copyOf(edge, "edge");
    const restoreMember = await copyOf(member, "store");
    position = await put(edge, "team-a/edge", "acknowledged");
    for (const node of [edge, member]) node.kill();
    await Promise.all([edge, member].map((node) => node.process.exited()));
    restoreMember();
    for (const node of others) node.pause();
    await member.restart();
    await member.process.ready();
  }, 120_000);

  afterAll(() => {
    for (const node of others) node.resume();
  });

  /** Starts the edge over what it had before its last write, and what more is in the table meta of its file. */
  async function startFrom(meta: Record<string, string>): Promise<void> {
    restore();
    const opened = file();
    for (const pair of Object.entries(meta)) opened.run("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", pair);
    opened.close();
    await edge.restart();
    await edge.process.ready();
    let seen = "";
    await eventually(
      "the state of before",
      async () => {
        const { status, text } = await read("any");
        seen = `${status} ${text}`;
        return status === 200 && JSON.parse(text).content === "before";
      },
      { withinMs: 30_000, seen: () => seen },
    );
  }

  async function expectNothingOlder(): Promise<void> {
    for (const answer of [await read("session"), await list()]) {
      expect([answer.status, answer.body["code"]]).toEqual([503, "unavailable"]);
      expect(answer.headers.get("retry-after")).toBe("1");
    }
  }

  test("gives nothing older to a session where it was killed before it had followed its last write", async () => {
    const opened = file();
    const kept = opened.query<{ key: string; value: string }, []>("SELECT key, value FROM meta").all();
    const { seq } = opened.query<{ seq: number }, []>("SELECT seq FROM head").get() ?? { seq: 0 };
    opened.close();
    const metaOf = (wanted: string) => kept.find(({ key }) => key === wanted)?.value ?? "";
    const seqOf = (text: string) => Number(text.split("-")[1] ?? 0);
    // Whichever of the two it was: the file of a killed edge says what it returned.
    expect(Math.max(seq, seqOf(metaOf("acknowledged")))).toBeGreaterThanOrEqual(seqOf(position));
    boot = metaOf("acknowledged_by");
    await startFrom({ acknowledged: position, acknowledged_by: boot });
    await expectNothingOlder();
  }, 90_000);

  test("nor where it lost its last writes in a loss of power", async () => {
    edge.kill();
    await edge.process.exited();
    await startFrom({ acknowledged_by: "another boot" });
    await expectNothingOlder();
    for (const node of others) node.resume();
    const answer = await eventually("the session read", async () => {
      const found = await read("session");
      return found.status === 200 ? found : undefined;
    });
    expect(answer.body["content"]).toBe("acknowledged");
  }, 90_000);
});
