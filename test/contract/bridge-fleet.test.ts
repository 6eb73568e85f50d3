// `cairn bridge --fleet` over real MCP endpoints that die, hang, drain, refuse and lag: the agent sees a slow call at
// most, and each write is done once.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { contextOperations } from "../../src/features/context/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { whoami } from "../../src/operation/whoami.ts";
import { type Core, callerWith, startCore } from "../kit/core.ts";
import { faultOf, fleetBridge, META } from "../kit/fleet-bridge.ts";
import { inTime } from "../kit/in-time.ts";
import { ERAS, newClient, textOf, until } from "../kit/mcp-client.ts";
import { Door, type DoorOptions, tellMembers } from "../kit/mcp-fleet.ts";

let folder: string;
let core: Core;
let doors: Door[];
let told: Door[];
const cleanup: (() => unknown)[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cairn-fleet-"));
  told = [];
  cores.length = 0;
  core = newCore();
  doors = [];
});

afterEach(async () => {
  for (const door of doors) await door[Symbol.asyncDispose]();
  for (const each of cleanup.splice(0).reverse()) await each();
  rmSync(folder, { recursive: true, force: true });
});

function newCore(): Core {
  const members = tellMembers(() => told.map((door, at) => ({ name: `cairn-${at}`, url: door.url })));
  const made = startCore({ operations: [...contextOperations, whoami, members] });
  cleanup.push(() => made[Symbol.asyncDispose]());
  return made;
}

function open(options: DoorOptions = {}, of = core): Door {
  const door = new Door(of, options);
  doors.push(door);
  return door;
}

function bridge(...words: Parameters<typeof fleetBridge>) {
  const made = fleetBridge(...words);
  cleanup.push(made.stop);
  return made;
}

const put = (id: string, content: unknown = 1) => ["context_put", { id, content }] as const;
const versions = async (id: string) => (await core.call("context_get", { id }))["version"];

/** The one that is asked, and the others. */
function inUse(): { used: Door; others: Door[] } {
  const used = doors.find((door) => door.calls.length > 0);
  if (used === undefined) throw new Error("no door was called");
  return { used, others: doors.filter((door) => door !== used) };
}

describe("a member that goes", () => {
  test("killed between calls: the next call is answered by another, with one line about it", async () => {
    const agent = bridge([open(), open(), open()]);
    await agent.call(...put("team/a"));
    const { used } = inUse();
    await used.kill();
    expect(await agent.call(...put("team/a", 2))).toMatchObject({ result: { structuredContent: { version: 2 } } });
    expect(agent.warnings()).toHaveLength(1);
    expect(agent.warnings()[0]).toContain(`switched from ${used.url} to http://127.0.0.1:`);
  });

  test("killed with the answer in hand: the write is asked again under one key, and done once", async () => {
    const agent = bridge([open(), open()]);
    await agent.call("context_get", { id: "team/none" });
    const { used, others } = inUse();
    used.mood = "dies with the answer";
    const answered = await agent.call(...put("team/once", "mine"));
    expect(answered).toMatchObject({ result: { structuredContent: { version: 1, created: true } } });
    expect(await versions("team/once")).toBe(1);
    const keys = [used, ...others].map((door) => /"idempotency_key":"(bridge-[^"]+)"/.exec(door.calls.join())?.[1]);
    expect(keys[0]).toMatch(/^bridge-/);
    expect(keys[1]).toBe(keys[0]);
  });

  test("the agent's own key and every digit of its arguments stay as they are", async () => {
    const agent = bridge([open(), open()]);
    const arguments_ = '{ "id":"team/digits", "content":{"n":12345678901234567890.10,"__proto__":1}}';
    const meta = JSON.stringify(META);
    const line = (id: number, args: string) =>
      `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"context_put","arguments":${args},"_meta":${meta}}}\n`;
    await agent.write(line(901, arguments_));
    await agent.answer(901);
    await expect((await core.http("/contexts/team/digits")).text()).resolves.toContain("12345678901234567890.10");
    await agent.write(line(902, '{"id":"team/own","content":1,"idempotency_key":"mine"}'));
    await agent.answer(902);
    expect(inUse().used.calls.at(-1)).toContain('"idempotency_key":"mine"');
    expect(inUse().used.calls.at(-1)).not.toContain("bridge-");
  });

  test("half-open: what it was asked is asked elsewhere within a few beats", async () => {
    const agent = bridge([open(), open()]);
    await agent.call(...put("team/h"));
    const { used } = inUse();
    used.mood = "hangs";
    const second = await inTime(1500, agent.call(...put("team/h", 2)));
    expect(second).toMatchObject({ result: { structuredContent: { version: 2 } } });
    expect(agent.warnings()[0]).toContain("does not answer any more");
  });

  test.each(["draining", "unreachable", "shut"] as const)("%s: calls go elsewhere at once", async (mood) => {
    const agent = bridge([open(), open()]);
    await agent.call(...put("team/d"));
    const { used } = inUse();
    used.mood = mood;
    const second = await inTime(1000, agent.call(...put("team/d", 2)));
    expect(second).toMatchObject({ result: { structuredContent: { version: 2 } } });
  });

  test("unavailable: another is asked, and when all say so the agent hears it", async () => {
    const unable = new Set<Core>();
    const agent = bridge([open({}, ableUnless(unable)), open({}, ableUnless(unable))]);
    const [one, other] = cores;
    if (one === undefined || other === undefined) throw new Error("two cores");
    await agent.call(...put("team/u"));
    unable.add(doors[0]?.calls.length === 1 ? one : other);
    expect(await agent.call(...put("team/u", 2))).toMatchObject({ result: { structuredContent: { version: 2 } } });
    for (const each of cores) unable.add(each);
    expect((await inTime(1500, agent.call(...put("team/u", 3)))).result).toMatchObject({
      isError: true,
      _meta: { "cairn.internal/fault": { code: "unavailable" } },
    });
  });

  test("as somebody else a write is not asked again: it would be another one", async () => {
    const other = callerWith({ id: "nOTHER", login: "other@example.com", own: true });
    const agent = bridge([open(), open({ caller: other })]);
    await agent.call("whoami", {});
    const { used } = inUse();
    used.mood = "dies with the answer";
    const failed = await agent.call(...put("team/who"));
    expect(faultOf(failed)).toMatchObject({ code: "unavailable", retryable: true });
    expect(await versions("team/who")).toBe(1);
    expect(await agent.call("context_get", { id: "team/who" })).toMatchObject({
      result: { structuredContent: { version: 1 } },
    });
  });
});

describe("whom it asks", () => {
  test("not one that refuses the caller, nor an edge while a full node is there", async () => {
    const shut = open();
    shut.mood = "shut";
    const edge = open({ role: "edge" });
    const full = open();
    const agent = bridge([shut, edge, full]);
    await agent.call("whoami", {});
    expect(doors.map((door) => door.calls.length)).toEqual([0, 0, 1]);
    await full.kill();
    await agent.call("whoami", {});
    expect(edge.calls).toHaveLength(1);
    expect(shut.calls).toHaveLength(0);
  });

  test("an edge where edges are preferred, and a full node when it is gone", async () => {
    const [edge, full] = [open({ role: "edge" }), open()];
    const agent = bridge([full, edge], { preferEdges: true });
    await agent.call("whoami", {});
    expect([edge.calls.length, full.calls.length]).toEqual([1, 0]);
    await edge.kill();
    await agent.call("whoami", {});
    expect(full.calls).toHaveLength(1);
  });

  test("all refuse: an answer at once that says so", async () => {
    const agent = bridge([open(), open()]);
    for (const door of doors) door.mood = "shut";
    const error = faultOf(await inTime(1500, agent.call("whoami", {})));
    expect(error).toMatchObject({ code: "forbidden" });
    expect(error["message"]).toContain(`${doors[0]?.url}: it refuses this caller (403: no grant)`);
  });

  test("none is there: the call fails after its patience, with the reason of each; the next works", async () => {
    const door = open();
    // A member that failed twice is not asked for 500 ms: the next call needs more patience than that.
    const agent = bridge([door], { times: { retryForMs: 1500 } });
    await door.kill();
    const error = faultOf(await agent.call("whoami", {}));
    expect(error).toMatchObject({ code: "not_running", retryable: true });
    expect(error["message"]).toContain(`${door.url}: `);
    await door.startAgain();
    expect(await agent.call("whoami", {})).toMatchObject({ result: { structuredContent: { kind: "user" } } });
  });

  test("members that were told of are used, and kept for a start while the first is down", async () => {
    const first = open();
    const second = open();
    told = [first, second];
    const file = join(folder, "cairn", "fleet.json");
    const agent = bridge([first], { file });
    await agent.call("whoami", {});
    await until(
      () => existsSync(file),
      () => agent.log,
    );
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual({
      fleet: "f".repeat(32),
      members: [first.url, second.url],
    });
    await first.kill();
    expect(await agent.call("whoami", {})).toMatchObject({ result: {} });
    const later = bridge([first], { file });
    expect(await later.call("whoami", {})).toMatchObject({ result: {} });
    expect(second.calls).toHaveLength(2);
    // A list that others could have written leads nowhere.
    chmodSync(file, 0o644);
    const careful = bridge([first], { file, times: { retryForMs: 300 } });
    expect(JSON.stringify(await careful.call("whoami", {}))).not.toContain(second.url);
    expect(careful.warnings()[0]).toContain("open to others");
  });

  test("a node of another fleet is never asked because it was told of", async () => {
    const first = open();
    const stranger = open({ fleetId: "e".repeat(32) });
    told = [first, stranger];
    const agent = bridge([first], { times: { retryForMs: 1000 } });
    await agent.call("whoami", {});
    await until(
      () => first.asked.includes("/operations/node_status"),
      () => first.asked,
    );
    await first.kill();
    expect(faultOf(await agent.call("whoami", {}))["message"]).toContain("another fleet");
    expect(stranger.calls).toHaveLength(0);
  });
});

describe("where the agent stands", () => {
  test("a wait goes on from its position at the next member", async () => {
    const agent = bridge([open(), open()]);
    await agent.call("whoami", {});
    const { used, others } = inUse();
    const id = await agent.post("tools/call", {
      name: "context_wait",
      arguments: { prefix: "team/", timeout_seconds: 20 },
    });
    await until(
      () => used.calls.length === 2,
      () => used.calls,
    );
    expect(used.calls[1]).toContain('"since":"');
    used.mood = "hangs";
    for (const door of others) door.mood = "hangs";
    // Nobody serves the wait while this is written; its position finds it.
    await core.call("context_put", { id: "team/missed", content: 1 });
    for (const door of others) door.mood = "well";
    await used.kill();
    const answered = await agent.answer(id, 8000);
    expect(answered.result?.structuredContent).toMatchObject({
      timed_out: false,
      changes: [{ target: "team/missed" }],
    });
  }, 15_000);

  test.each([
    ["own writes are read", ...put("team/seen", "new")],
    ["what was in a long answer is read again", "context_get", { id: "team/long" }],
  ] as const)("a member that is behind is waited for, so that %s", async (_what, name, given) => {
    await core.call("context_put", { id: "team/long", content: "x".repeat(20_000) });
    const [first, second] = [open(), open({}, oneBehind(core))];
    await second.kill();
    const agent = bridge([first, second]);
    const read = await agent.call(name, given);
    expect(read.result?.structuredContent === undefined).toBe(name === "context_get");
    await second.startAgain();
    await first.kill();
    const reading = agent.call("context_get", { id: given.id });
    await Bun.sleep(200);
    expect(agent.written).toHaveLength(1);
    caughtUp = true;
    expect(await reading).toMatchObject({ result: {} });
  });

  test("another history is used only when no other is left, and is said", async () => {
    const forked = newCore();
    await forked.call("context_put", { id: "team/x", content: "forked" });
    const [first, second, other] = [open(), open(), open({}, forked)];
    await other.kill();
    const agent = bridge([first, second, other]);
    await agent.call("context_put", { id: "team/x", content: "ours" });
    const { used, others } = inUse();
    await other.startAgain();
    await used.kill();
    expect(await agent.call("context_get", { id: "team/x" })).toMatchObject({
      result: { structuredContent: { content: "ours" } },
    });
    for (const door of others) if (door !== other) await door.kill();
    expect(await agent.call("context_get", { id: "team/x" })).toMatchObject({
      result: { structuredContent: { content: "forked" } },
    });
    expect(agent.warnings().at(-1)).toContain("its history is another one");
  });

  test("a stream goes on at the next member: one acknowledgement, and a word to look again", async () => {
    const agent = bridge([open(), open()]);
    const id = await agent.post("subscriptions/listen", {
      notifications: { resourceSubscriptions: ["cairn:///team/s"], resourcesListChanged: true, toolsListChanged: true },
    });
    const of = (method: string) => agent.written.filter((message) => message["method"] === method);
    await until(
      () => of("notifications/subscriptions/acknowledged").length === 1,
      () => agent.written,
    );
    const used = doors.find((door) => door.asked.includes("subscriptions/listen"));
    await used?.kill();
    await until(
      () => of("notifications/resources/updated").length === 1,
      () => [agent.written, agent.log],
    );
    await core.call("context_put", { id: "team/s", content: 1 });
    await until(
      () => of("notifications/resources/updated").length === 2,
      () => [agent.written, agent.log],
    );
    expect(of("notifications/resources/updated")[1]?.params).toMatchObject({
      uri: "cairn:///team/s",
      _meta: { "io.modelcontextprotocol/subscriptionId": id },
    });
    expect(of("notifications/subscriptions/acknowledged")).toHaveLength(1);
  });

  test.each(ERAS)("%s: the client hears of other tools at the next member", async (era) => {
    const few = startCore({ operations: [...contextOperations.slice(0, 3), whoami] });
    cleanup.push(() => few[Symbol.asyncDispose]());
    const first = open();
    // Only its end makes the first one go: a late heartbeat of a busy machine must not, and a search may take long.
    const times = { heartbeatMs: 1000, heartbeatTimeoutMs: 20_000, probeMs: 10_000, retryForMs: 30_000 };
    const agent = bridge([first, open({ role: "edge" }, few)], { times });
    if (era === "legacy") {
      const params = { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "x", version: "0" } };
      await agent.write(`${JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize", params })}\n`);
      expect((await agent.answer(0)).result).toMatchObject({ capabilities: { tools: { listChanged: true } } });
      await agent.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n');
      const open = () => first.asked.includes("/mcp");
      await until(open, () => first.asked);
    } else {
      const id = await agent.post("subscriptions/listen", {
        notifications: { toolsListChanged: true, resourcesListChanged: true },
      });
      await until(
        () => agent.written.length === 1,
        () => [id, agent.written],
      );
      expect(agent.written[0]?.params).toMatchObject({ notifications: { toolsListChanged: true } });
    }
    await first.kill();
    const isTold = () => agent.written.some((message) => message["method"] === "notifications/tools/list_changed");
    await until(isTold, () => [agent.written, agent.log]);
  });
});

const cores: Core[] = [];
/** The store through a node that answers writes as unavailable while it is in the set. */
function ableUnless(unable: ReadonlySet<Core>): Core {
  const invoker = new Proxy(core.invoker, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== "function") return value;
      if (key !== "invoke") return value.bind(target);
      return (call: { operation: string }) =>
        call.operation === "context_put" && unable.has(made)
          ? Promise.reject(new Fault("unavailable", "There is no leader"))
          : value.call(target, call);
    },
  });
  const made = { ...core, invoker };
  cores.push(made);
  return made;
}

let caughtUp = false;
/** A node that stands a position behind this one until the test says that it caught up. */
function oneBehind(of: Core): Core {
  caughtUp = false;
  const position = (): string => {
    const [epoch, seq] = of.invoker.position().split("-");
    return `${epoch}-${Number(seq) - (caughtUp ? 0 : 1)}`;
  };
  const invoker = new Proxy(of.invoker, {
    get: (target, key) => {
      if (key === "position") return position;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { ...of, invoker };
}

describe.each(ERAS)("%s client as a process", (era) => {
  test("a stream of writes over kills of whoever is asked: each is done once, in order", async () => {
    const gates = [open(), open(), open()];
    const client = newClient(era);
    const transport = new StdioClientTransport({
      command: process.execPath,
      args: [join(import.meta.dir, "../kit/bridge-main.ts"), ...gates.map(({ url }) => url)],
      stderr: "pipe",
    });
    let said = "";
    transport.stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    const updated: string[] = [];
    client.setNotificationHandler("notifications/resources/updated", ({ params }) => void updated.push(params.uri));
    await client.connect(transport);
    cleanup.push(() => client.close());
    const uri = "cairn:///team/watched";
    if (era === "legacy") await client.subscribeResource({ uri });
    else await client.listen({ resourceSubscriptions: [uri] });
    let dead: Door | undefined;
    for (let at = 1; at <= 30; at++) {
      if (at % 10 === 0) {
        dead = gates.find((gate) => gate.calls.length > 0);
        if (at === 20) await dead?.kill();
        else if (dead !== undefined) dead.mood = "dies with the answer";
      }
      const written = await client.callTool({ name: "context_put", arguments: { id: "team/count", content: at } });
      expect(textOf(written)).toMatchObject({ version: at });
      if (at % 10 === 0) for (const gate of gates) gate.asked.length = 0;
      if (at % 10 === 5) await dead?.startAgain();
    }
    await until(
      () => said.split("\n").filter((line) => line.includes("switched from")).length === 3,
      () => said,
    );
    const before = updated.length;
    await core.call("context_put", { id: "team/watched", content: 1 });
    await until(
      () => updated.length > before,
      () => [updated, said],
    );
  }, 30_000);
});
