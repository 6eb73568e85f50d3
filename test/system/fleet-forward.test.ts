// Writes and reads anywhere, over real nodes: a central that leads and a regional that follows, agents that talk to
// either, and the gate of both.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sha256Hex } from "../../src/lib/sha256.ts";
import { encodeFrame, FRAME_TYPE } from "../../src/peer/frames.ts";
import { Agent, joinAgent } from "../kit/agent.ts";
import { EventReader } from "../kit/event-reader.ts";
import { eventually } from "../kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../kit/fleet.ts";
import { ERAS, type Era, until } from "../kit/mcp-client.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const CAPABILITY = "cairn.internal/cap/cairn";

let fleet: Fleet;
let leader: FleetNode;
let follower: FleetNode;
/** The same agent, talking to the leader and to the follower. */
let atLeader: Agent;
let atFollower: Agent;
let operator: Agent;
let admin: Agent;

beforeAll(async () => {
  fleet = await startFleet({ centrals: 1, regionals: 1 });
  await fleet.settle();
  const [first, second] = fleet.nodes;
  if (first === undefined || second === undefined) throw new Error("no fleet");
  leader = first;
  follower = second;
  await fleet.tailnet.grants([
    { src: ["agent"], dst: ["*"], app: { [CAPABILITY]: [{ role: "member", spaces: ["*"] }] } },
    { src: ["operator"], dst: ["*"], app: { [CAPABILITY]: [{ role: "operator", spaces: ["*"] }] } },
    { src: ["admin"], dst: ["*"], app: { [CAPABILITY]: [{ role: "admin", spaces: ["*", "_rules"] }] } },
  ]);
  atLeader = await joinAgent(fleet.tailnet, leader.base, { hostname: "agent", tags: ["tag:agent"] });
  atFollower = new Agent({ id: atLeader.id, ips: [atLeader.ip], proxy: atLeader.proxy }, follower.base);
  operator = await joinAgent(fleet.tailnet, follower.base, { hostname: "operator", tags: ["tag:agent"] });
  admin = await joinAgent(fleet.tailnet, follower.base, { hostname: "admin", tags: ["tag:agent"] });
}, 300_000);

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
}, 60_000);

const leaderOnly = { "cairn-consistency": "leader" };

describe("writes", () => {
  test("on a follower are read there at once, and everywhere by the leader; the audit keeps caller and via", async () => {
    for (let version = 1; version <= 5; version++) {
      const written = await atFollower.put("team-a/plan", `version ${version}`, { "cairn-client": "agent 1" });
      expect([written.status, written.text]).toEqual([version === 1 ? 201 : 200, written.text]);
      const read = await atFollower.get("team-a/plan");
      expect(read.text).toBe(`version ${version}`);
      expect(seqOf(read.headers)).toBeGreaterThanOrEqual(seqOf(written.headers));
    }
    expect((await atLeader.get("team-a/plan")).text).toBe("version 5");
    const { body } = await leader.call("audit_query", { prefix: "team-a/plan", limit: 1 });
    const by = { caller: `node:${atLeader.id}`, via: follower.id, client: "agent 1" };
    expect(body["rows"]).toMatchObject([{ ...by, outcome: "updated" }]);
    const stale = await atFollower.put("team-a/plan", "mine", { "if-none-match": "*" });
    expect([stale.status, stale.headers.get("etag")?.startsWith('"5-')]).toEqual([412, true]);
  });

  test("with the same key on either node are made once", async () => {
    const headers = { "idempotency-key": "one" };
    const first = await atFollower.put("team-a/keyed", "x", headers);
    const again = await atLeader.put("team-a/keyed", "x", headers);
    expect([again.status, again.headers.get("etag")]).toEqual([first.status, first.headers.get("etag")]);
    expect((await atLeader.put("team-a/keyed", "y", headers)).status).toBe(422);
  });

  test("of the follower's own socket carry its name", async () => {
    const written = await follower.call("context_put", { id: "team-a/local", content: "x" });
    expect(written.status).toBe(200);
    const { body } = await leader.call("audit_query", { prefix: "team-a/local" });
    expect(body["rows"]).toMatchObject([{ caller: `local@${follower.id}`, via: follower.id }]);
  });
});

describe("reads", () => {
  test("of the leader see on a follower what was just written at the leader", async () => {
    for (let round = 0; round < 10; round++) {
      await atLeader.put("team-a/fresh", `round ${round}`);
      const read = await atFollower.http("/contexts/team-a/fresh", { headers: leaderOnly });
      expect(read.text).toBe(`round ${round}`);
    }
  });

  test("that show a position see it on a follower, and say how old they may be", async () => {
    const written = await atLeader.put("team-a/shown", "x");
    const position = written.headers.get("cairn-position") ?? "";
    const read = await operator.http("/contexts/team-a/shown", { headers: { "cairn-min-position": position } });
    expect(read.status).toBe(200);
    // Of what the follower has itself: a session read may still be the leader's. It says an age once an answer of the
    // leader has proved one.
    const age = await eventually("an answer that says its age", async () => {
      const aged = await operator.http("/contexts/team-a/plan", { headers: { "cairn-consistency": "any" } });
      return aged.headers.get("age") ?? undefined;
    });
    expect(Number(age)).toBeLessThanOrEqual(10);
  });
});

describe("rights", () => {
  test("a regional forwards for operators, and for no one as admin", async () => {
    expect((await atFollower.call("context_purge", { id: "team-a/keyed" })).status).toBe(403);
    expect((await operator.call("context_purge", { id: "team-a/keyed" })).status).toBe(200);
    const refused = await admin.put("_rules/x", "mine");
    expect([refused.status, refused.body["code"], refused.body["leader"]]).toEqual([403, "forbidden", leader.name]);
    const direct = new Agent({ id: admin.id, ips: [admin.ip], proxy: admin.proxy }, leader.base);
    expect((await direct.put("_rules/x", "mine")).status).toBe(201);
  });

  test("a device that is no member gets nothing on the peer port, whatever it may elsewhere", async () => {
    for (const node of [leader, follower]) {
      const port = new URL(node.base);
      port.port = "4747";
      for (const path of ["/peer/forward", "/peer/nothing", "/contexts/team-a/plan", "/operations/whoami"]) {
        const answered = await admin.http(new URL(path, port).href, {
          method: "POST",
          headers: { "content-type": FRAME_TYPE },
          body: encodeFrame({}),
        });
        expect([answered.status, answered.text.includes("not_a_member")]).toEqual([403, true]);
      }
    }
  });
});

describe("streams", () => {
  test("begin on one node and go on, without a gap or a double, on another", async () => {
    const open = async (agent: Agent, last?: string): Promise<EventReader> => {
      const headers = { accept: "text/event-stream", ...(last === undefined ? {} : { "last-event-id": last }) };
      return new EventReader(await agent.fetch("/changes?feed=sse&prefix=team-s/", { headers }));
    };
    let position: string;
    {
      await using here = await open(atFollower);
      await atLeader.put("team-s/a", "1");
      const change = await here.change();
      expect(change.target).toBe("team-s/a");
      position = change.position;
    }
    await atFollower.put("team-s/b", "1");
    const written = await atLeader.put("team-s/c", "1");
    {
      await using there = await open(atLeader, position);
      expect((await there.change()).target).toBe("team-s/b");
      const last = await there.change();
      expect([last.target, last.position]).toEqual(["team-s/c", written.headers.get("cairn-position") ?? ""]);
      position = last.position;
    }
    await atLeader.put("team-s/d", "1");
    await using back = await open(atFollower, position);
    expect((await back.change()).target).toBe("team-s/d");
  });

  test.each([...ERAS])(
    "a %s MCP client hears on a follower of what changes at the leader, and on the leader after it moved",
    async (era: Era) => {
      const id = `team-m/${era}`;
      const watch = async (agent: Agent): Promise<{ updated: string[]; close: () => Promise<void> }> => {
        const client = await agent.mcp(era);
        const updated: string[] = [];
        client.setNotificationHandler("notifications/resources/updated", ({ params }) => void updated.push(params.uri));
        if (era === "legacy") await client.subscribeResource({ uri: `cairn:///${id}` });
        else await client.listen({ resourceSubscriptions: [`cairn:///${id}`] });
        return { updated, close: () => client.close() };
      };
      const here = await watch(atFollower);
      await atLeader.put(id, "1");
      await until(
        () => here.updated.length > 0,
        () => here.updated,
        10_000,
      );
      await here.close();
      const there = await watch(atLeader);
      await atFollower.put(id, "2");
      await until(
        () => there.updated.length > 0,
        () => there.updated,
        10_000,
      );
      expect(there.updated[0]).toBe(`cairn:///${id}`);
      const client = await atFollower.mcp(era);
      const called = await client.callTool({ name: "context_get", arguments: { id, consistency: "leader" } });
      expect(called.structuredContent).toMatchObject({ content: "2" });
      await client.close();
      await there.close();
    },
  );
});

describe("blobs", () => {
  test("put on a follower are on both disks; bytes come from whichever has them, and a kill loses none", async () => {
    const data = randomBytes(9 * 1024 * 1024 + 5);
    const sha256 = sha256Hex(data);
    const folder = temporaryFolder();
    writeFileSync(join(folder, "in"), data);
    const put = await follower.process.cli(["blob", "put", join(folder, "in"), "--space", "team-b"]);
    expect([put.err, put.out]).toEqual(["", `${sha256}\n`]);
    const fileOf = (node: FleetNode) => join(node.dataDir, "blobs", sha256.slice(0, 2), sha256);
    for (const node of [leader, follower]) expect(sha256Hex(readFileSync(fileOf(node)))).toBe(sha256);

    const path = `/blobs/${sha256}?space=team-b`;
    const range = await atFollower.fetch(path, { headers: { range: "bytes=5000000-" } });
    expect([range.status, range.headers.get("content-range")]).toEqual([
      206,
      `bytes 5000000-${data.byteLength - 1}/${data.byteLength}`,
    ]);
    expect(Buffer.from(await range.arrayBuffer()).equals(data.subarray(5_000_000))).toBe(true);
    const outsider = await joinAgent(fleet.tailnet, follower.base, { hostname: "outsider", tags: ["tag:agent"] });
    expect((await outsider.http(path)).status).toBe(403);

    // The follower lost its file: the leader's bytes come through it.
    rmSync(fileOf(follower));
    const got = await follower.process.cli(["blob", "get", sha256, "--space", "team-b", "--to", join(folder, "out")]);
    expect([got.err, got.code]).toEqual(["", 0]);
    expect(sha256Hex(readFileSync(join(folder, "out")))).toBe(sha256);

    // The leader is killed while another blob arrives: that one begins again, the stored one is there.
    const other = randomBytes(5 * 1024 * 1024);
    const asked = { space: "team-b", sha256: sha256Hex(other), bytes: other.byteLength, offset: 0, copies: 1 };
    const part = { ...asked, data: other.subarray(0, 4 * 1024 * 1024).toString("base64") };
    expect((await leader.call("blob_put", part, 30_000)).body).toMatchObject({ received: 4 * 1024 * 1024 });
    leader.kill();
    await leader.restart();
    await leader.serving();
    await eventually("the leader to take blobs again", async () => {
      const { data: _, offset: __, ...state } = part;
      const { status, body } = await leader.call("blob_put", state, 30_000);
      return status === 200 && body["received"] === 0;
    });
    expect(existsSync(join(leader.dataDir, "blobs", "incoming"))).toBe(false);
    const again = await leader.process.cli(["blob", "get", sha256, "--space", "team-b"]);
    expect(again.code).toBe(0);
    expect((await leader.process.cli(["blob", "stat", sha256, "--space", "team-b"])).out).toContain("2 of 2");
  }, 120_000);
});

function seqOf(headers: Headers): number {
  return Number(headers.get("cairn-position")?.split("-")[1] ?? Number.NaN);
}
