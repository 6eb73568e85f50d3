// An edge as a real node of a fleet: what it keeps, what lets go of it, and what is left when its full member is
// stopped, killed, gone in the middle of an answer, or says that it is no member.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { sha256Hex } from "../../src/lib/sha256.ts";
import { Agent, type Answer, joinAgent, localHttp } from "../kit/agent.ts";
import { TestCollector } from "../kit/collector.ts";
import { eventually } from "../kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../kit/fleet.ts";

const CAPABILITY = "cairn.internal/cap/cairn";
const MEMBER = { role: "member", spaces: ["*"] };

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";

let collector: TestCollector;
let fleet: Fleet;
let central: FleetNode;
let edge: FleetNode;
/** The same agent, talking to the central and to the edge. */
let atCentral: Agent;
let atEdge: Agent;

const stateOf = ({ headers }: Answer) => headers.get("cairn-cache");
const ageOf = ({ headers }: Answer) => Number(headers.get("age"));
const cacheOf = async () => (await edge.status())?.cache;

/** Waits until the edge answers a document in this way. */
const reads = (id: string, wanted: { text?: string; state?: string; status?: number }, agent = atEdge) => {
  let seen = "";
  return eventually(
    `${id} to be read as ${JSON.stringify(wanted)}`,
    async () => {
      const answer = await agent.get(id);
      seen = `${answer.status} ${stateOf(answer)} ${answer.text}`;
      const right =
        (wanted.text === undefined || answer.text === wanted.text) &&
        (wanted.state === undefined || stateOf(answer) === wanted.state) &&
        (wanted.status ?? 200) === answer.status;
      return right ? answer : undefined;
    },
    { withinMs: 15_000, seen: () => seen },
  );
};

beforeAll(async () => {
  collector = new TestCollector();
  const traces = ["--traces-url", "http://collector:4318", "--traces-tailnet", "--traces-sample-percent", "0"];
  fleet = await startFleet({ centrals: 1, args: traces });
  const [first] = fleet.nodes;
  if (first === undefined) throw new Error("no fleet");
  central = first;
  edge = await fleet.join("edge", { spaces: ["team-a", "run", "late"] });
  await fleet.tailnet.grants([{ src: ["agent"], dst: ["*"], app: { [CAPABILITY]: [MEMBER] } }]);
  atCentral = await joinAgent(fleet.tailnet, central.base, { hostname: "agent", tags: ["tag:agent"] });
  atEdge = new Agent({ id: atCentral.id, ips: [atCentral.ip], proxy: atCentral.proxy }, edge.base);
  const set = await central.call("space_configure", { space: "run", edge: "stale" });
  expect([set.status, set.text]).toEqual([200, set.text]);
}, 120_000);

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await collector?.[Symbol.asyncDispose]();
}, 60_000);

describe("with its full node", () => {
  test("a document is a miss, then a hit, and let go of when it changes elsewhere", async () => {
    await atCentral.put("team-a/plan", "one");
    const first = await reads("team-a/plan", { text: "one", state: "miss" });
    expect(first.headers.get("etag")).toStartWith('"1-');
    const hit = await reads("team-a/plan", { text: "one", state: "hit" });
    expect(ageOf(hit)).toBeLessThanOrEqual(2);
    expect(hit.headers.get("etag")).toBe(first.headers.get("etag"));
    const known = await atEdge.http("/contexts/team-a/plan", {
      headers: { "if-none-match": hit.headers.get("etag") ?? "" },
    });
    expect(known.status).toBe(304);
    await atCentral.put("team-a/plan", "two");
    await reads("team-a/plan", { text: "two" });
    const counted = await cacheOf();
    expect(counted).toMatchObject({ fresh: true, upstream: central.id, spaces: ["team-a", "run", "late"] });
    expect(counted?.hits).toBeGreaterThan(0);
    const metrics = await localHttp(await edge.socket(), "/metrics");
    expect(metrics.text).toContain('cairn_cache_reads_total{result="hit"}');
  });

  test("its own writes are read at once, and streams bring what others write", async () => {
    for (let version = 1; version <= 5; version += 1) {
      const written = await atEdge.put("team-a/own", `version ${version}`);
      expect([written.status, written.text]).toEqual([version === 1 ? 201 : 200, written.text]);
      expect((await atEdge.get("team-a/own")).text).toBe(`version ${version}`);
    }
    const waiting = atEdge.call("context_wait", { id: "team-a/own", timeout_seconds: 20 });
    // The wait is open once it is counted.
    await Bun.sleep(300);
    await atCentral.put("team-a/own", "by the other", { "cairn-client": "other 1" });
    const { changes } = (await waiting).body as { changes: { target: string }[] };
    expect(changes).toMatchObject([{ target: "team-a/own", via: "", client: "other 1" }]);
    const { body } = await central.call("audit_query", { prefix: "team-a/own", limit: 6 });
    expect(body["rows"]).toContainEqual(expect.objectContaining({ caller: `node:${atEdge.id}`, via: edge.id }));
  });

  test("what a client says of itself is forwarded once heartbeats say that the fleet has the level", async () => {
    const by = { caller: `node:${atEdge.id}`, via: edge.id, client: "own 1" };
    const row = await eventually("a write at the edge with the claim of its client", async () => {
      await atEdge.put("team-a/said", "text", { "cairn-client": "own 1" });
      const { body } = await central.call("audit_query", { prefix: "team-a/said", limit: 1 });
      const [newest] = body["rows"] as Record<string, unknown>[];
      return newest?.["client"] === undefined ? undefined : newest;
    });
    expect(row).toMatchObject(by);
  });

  test("a trace goes on from the edge to its full node, and from both to a collector that is a device of the tailnet", async () => {
    await fleet.tailnet.client({ hostname: "collector", tags: ["tag:collector"] });
    await fleet.tailnet.clientServe("collector", 4318, collector.host);
    const traced = (spanId: string, flags = "01") => ({ traceparent: `00-${TRACE}-${spanId}-${flags}` });
    const [read, written, silent] = ["1", "2", "3"].map((digit) => digit.repeat(16)) as [string, string, string];
    await atEdge.put("team-a/traced", "a heliotropium", traced(silent, "00"));
    const got = await atEdge.http("/contexts/team-a/traced", {
      headers: { ...traced(read), "cairn-consistency": "leader" },
    });
    expect([got.status, got.text]).toEqual([200, "a heliotropium"]);
    await atEdge.put("team-a/traced", "other", traced(written));
    const spans = await eventually(
      "all spans of the trace",
      () => (collector.of(TRACE).length >= 7 ? collector.of(TRACE) : undefined),
      { withinMs: 15_000, seen: () => JSON.stringify(collector.spans.map(({ name }) => name)) },
    );
    const below = (parent: string) =>
      spans
        .filter(({ parentSpanId }) => parentSpanId === parent)
        .map(({ name, spanId, resource }) => ({ name, spanId, node: resource["service.instance.id"] }));
    for (const [from, name, inner] of [
      [read, "context_get", []],
      [written, "context_put", ["log.append"]],
    ] as const) {
      const [call] = below(from);
      expect(call).toMatchObject({ name, node: edge.id });
      const [forward, ...others] = below(call?.spanId ?? "");
      expect([forward, others]).toMatchObject([{ name: `forward ${name}`, node: edge.id }, []]);
      const [there] = below(forward?.spanId ?? "");
      expect(there).toMatchObject({ name, node: central.id });
      expect(below(there?.spanId ?? "").map((each) => each.name)).toEqual([...inner]);
    }
    expect([spans.length, collector.problems]).toEqual([7, []]);
    expect(collector.spans.filter(({ traceId }) => traceId !== TRACE)).toEqual([]);
    for (const { headers } of collector.requests) expect(headers.get("host")).toStartWith("collector");
    for (const word of ["team-a", atEdge.id, "heliotropium"]) expect(JSON.stringify(spans)).not.toContain(word);
  });

  test("a search is answered by its full node, with what was written through the edge", async () => {
    const written = await atEdge.put("team-a/found", "a heliotrope in the garden");
    expect(written.status).toBe(201);
    const position = written.headers.get("cairn-position");
    const { status, body } = await atEdge.call("search", { query: "heliotrope", min_position: position });
    expect([status, body["hits"]]).toEqual([200, [expect.objectContaining({ id: "team-a/found" })]]);
    expect(existsSync(join(edge.dataDir, "search"))).toBe(false);
  });

  test("a blob goes through it both ways, by rights of the space, and nothing of it is kept", async () => {
    const data = randomBytes(5 * 1024 * 1024);
    const sha256 = sha256Hex(data);
    const send = (from: number, to: number) =>
      atEdge.http(`/blobs/${sha256}?space=team-a`, {
        method: "PUT",
        headers: { "content-range": `bytes ${from}-${to - 1}/${data.byteLength}` },
        body: new Uint8Array(data.subarray(from, to)),
      });
    expect((await send(0, 4 * 1024 * 1024)).body).toMatchObject({ received: 4 * 1024 * 1024, stored: false });
    expect((await send(4 * 1024 * 1024, data.byteLength)).body).toMatchObject({ stored: true, holders: 1 });
    const got = await atEdge.fetch(`/blobs/${sha256}?space=team-a`);
    expect([got.status, sha256Hex(Buffer.from(await got.arrayBuffer()))]).toEqual([200, sha256]);
    expect((await atEdge.http(`/blobs/${sha256}?space=elsewhere`)).status).toBe(403);
    expect(existsSync(join(edge.dataDir, "blobs"))).toBe(false);
  });

  test("spaces that it is not enrolled for, and rights above a member's, are no matter of it", async () => {
    await atCentral.put("other/x", "not here");
    expect((await atEdge.get("other/x")).status).toBe(403);
    expect((await atEdge.put("other/x", "nor this")).status).toBe(403);
    expect((await edge.call("space_configure", { space: "team-a", edge: "stale" })).status).toBe(403);
  });

  test("a caller that loses its rights is refused what is kept", async () => {
    await atCentral.put("team-a/secret", "kept");
    await reads("team-a/secret", { state: "hit" });
    await fleet.tailnet.grants([
      { src: ["agent"], dst: ["*"], app: { [CAPABILITY]: [{ ...MEMBER, spaces: ["run"] }] } },
    ]);
    await reads("team-a/secret", { status: 403 });
    expect((await atEdge.get("team-a/none")).status).toBe(403);
    await fleet.tailnet.grants([{ src: ["agent"], dst: ["*"], app: { [CAPABILITY]: [MEMBER] } }]);
    await reads("team-a/secret", { text: "kept" });
  });
});

describe("without its full node", () => {
  test("that is stopped in the middle of an answer: stale where that is allowed, 503 elsewhere, and all is well again", async () => {
    for (const id of ["run/book", "late/x"]) await atCentral.put(id, "kept");
    for (const id of ["run/book", "late/x"]) await reads(id, { state: "hit" });
    await atCentral.put("late/y", "y".repeat(200_000));
    // Asked for while nobody has it here: the answer never comes.
    central.pause();
    const asked = performance.now();
    const broken = await atEdge.get("late/y");
    expect([broken.status, performance.now() - asked < 12_000]).toEqual([503, true]);
    const stale = await reads("run/book", { text: "kept", state: "stale" });
    expect(ageOf(stale)).toBeGreaterThanOrEqual(2);
    await reads("late/x", { status: 503 });
    // It may reach the central once that goes on: then it is written after all, and the answer said that nobody knows.
    const write = await atEdge.put("run/lost", "perhaps");
    expect(write.status).toBe(503);
    central.resume();
    await reads("run/book", { state: "hit", text: "kept" });
    await reads("late/y", { state: "hit" });
  }, 60_000);

  test("that is killed, over a restart of its own: what may be stale is left, with its whole age", async () => {
    await atCentral.put("run/book", "before");
    await reads("run/book", { text: "before", state: "hit" });
    // What is to outlive the process is written within a second.
    await Bun.sleep(1000);
    central.kill();
    const away = performance.now();
    await reads("run/book", { state: "stale", text: "before" });
    edge.kill();
    await edge.restart();
    await edge.serving();
    const left = await reads("run/book", { state: "stale", text: "before" });
    expect(ageOf(left)).toBeGreaterThanOrEqual(Math.floor((performance.now() - away) / 1000));
    await reads("late/x", { status: 503 });
    await central.restart();
    await central.serving();
    let seen = "";
    await eventually(
      "the central to take writes again",
      async () => {
        const { status, text } = await atCentral.put("run/book", "after");
        seen = `${status} ${text}`;
        return status === 200;
      },
      { seen: () => seen },
    );
    await reads("run/book", { text: "after", state: "hit" });
  }, 90_000);

  test("that removed it: nothing is left", async () => {
    await reads("run/book", { state: "hit" });
    const removed = await central.call("fleet_member_remove", { node: edge.id });
    expect([removed.status, removed.text]).toEqual([200, removed.text]);
    await eventually("everything to be gone", async () => {
      const cache = await cacheOf();
      return cache !== undefined && cache.entries === 0 && cache.disk_bytes === 0 && !cache.fresh;
    });
    await eventually("it to say so", async () => (await edge.status())?.conditions[0]?.code === "removed_from_fleet");
    for (const answer of [await atEdge.get("run/book"), await atEdge.put("run/book", "no")]) {
      const said = JSON.parse(answer.text);
      expect([answer.status, said.code, said.retryable]).toEqual([403, "not_a_member", false]);
      expect(said.hint).toContain("run `cairn join` here with a new ticket");
    }
    const shown = await edge.process.cli(["status"]);
    expect([shown.code, shown.err]).toEqual([3, ""]);
    expect(shown.out).toMatch(/^error +No longer a member: .*run `cairn join` here with a new ticket/m);
    expect(shown.out).toMatch(/^survives +This node is no longer a member of its fleet/m);
  }, 40_000);

  test("and lets it in again with a new ticket, without work by hand", async () => {
    const ticket = await fleet.ticket("edge", ["run"]);
    edge.kill();
    await edge.restart({ env: { CAIRN_JOIN_TICKET: ticket } });
    await fleet.joined(edge);
    await reads("run/book", { state: "hit", text: "after" });
    expect((await edge.status())?.cache?.spaces).toEqual(["run"]);
    expect((await edge.status())?.conditions.map(({ code }) => code)).not.toContain("removed_from_fleet");
    expect(readdirSync(join(edge.dataDir, "aside"))).toHaveLength(1);
  }, 60_000);

  test("that it leaves by itself: it shows whom it sees, goes, and ends", async () => {
    const shown = await edge.process.cli(["members"]);
    expect([shown.code, shown.out]).toEqual([0, expect.stringMatching(/central-1 +central/)]);
    expect(await edge.process.cli(["leave", "--yes"])).toMatchObject({ code: 0, err: "" });
    await edge.process.exited();
    expect((await central.status())?.members.map(({ name }) => name)).toEqual(["central-1"]);
  }, 30_000);
});
