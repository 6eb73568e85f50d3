// Open connections and streams do not outlive a right (security.md 7): whatever takes it away, they end within the
// bound, and what comes after is refused.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, renameSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Agent, type Followed, follow, joinAgent, localHttp, openRaw } from "../kit/agent.ts";
import { eventually, within } from "../kit/eventually.ts";
import { startNode, type TestNode } from "../kit/node.ts";
import { type TailnetGrant, TestTailnet } from "../kit/tailnet.ts";

const CAPABILITY = "cairn.internal/cap/cairn";
const BOUND_MS = 30_000;
const MEMBER = { role: "member", spaces: ["team"] };
const URI = "cairn:///team/watched";

let tailnet: TestTailnet;
let node: TestNode;
let socket: string;
/** A device of the node's own user, whose rights never change. */
let witness: Agent;
const policyFile = join(tmpdir(), `cairn-policy-${process.pid}.json`);

beforeAll(async () => {
  tailnet = await TestTailnet.start();
  await tailnet.auth("open");
  await tailnet.expect({ hostname: "cairn", user: "owner@example.com" });
  writePolicy([]);
  const args = ["--access-policy-file", policyFile];
  node = await startNode({ tailnet, env: { TS_AUTHKEY: "tskey-auth-kANY-1" }, args });
  socket = (await node.ready()).socket;
  witness = await joinAs("witness", "owner@example.com");
}, 600_000);

afterAll(async () => {
  await node?.[Symbol.asyncDispose]();
  await tailnet?.[Symbol.asyncDispose]();
  rmSync(policyFile, { force: true });
}, 60_000);

function writePolicy(logins: string[]): void {
  const grants = logins.map((login) => ({ src: [login], app: { [CAPABILITY]: [MEMBER] } }));
  writeFileSync(`${policyFile}.new`, JSON.stringify({ grants }));
  chmodSync(`${policyFile}.new`, 0o600);
  renameSync(`${policyFile}.new`, policyFile);
}

const allow = (...src: string[]): TailnetGrant[] => [{ src, dst: ["cairn"], app: { [CAPABILITY]: [MEMBER] } }];

let writes = 0;
/** A write that watchers of URI hear about, by the local socket. */
async function write(): Promise<void> {
  const answer = await localHttp(socket, "/contexts/team/watched", {
    method: "PUT",
    body: `write ${++writes}`,
    headers: { "content-type": "text/plain" },
  });
  expect([200, 201]).toContain(answer.status);
}

const JSON_TYPES = { "content-type": "application/json", accept: "application/json, text/event-stream" };

interface Held {
  agent: Agent;
  /** Headers of an older MCP session. */
  session: Record<string, string>;
  /** Its GET stream, a `subscriptions/listen` of the newer era, and the REST stream of the context. */
  streams: Followed[];
  /** An idle keep-alive connection that has had one answer. */
  idle: Socket;
  idleClosed: Promise<void>;
}

/** A client that has everything open that can be, each shown to work. */
async function holdOpen(agent: Agent): Promise<Held> {
  const rpc = (body: object, headers: Record<string, string> = {}) =>
    agent.fetch("/mcp", { method: "POST", body: JSON.stringify(body), headers: { ...JSON_TYPES, ...headers } });
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "raw", version: "0" } };
  const begun = await rpc({ jsonrpc: "2.0", id: 0, method: "initialize", params });
  await begun.text();
  const session = {
    "mcp-session-id": begun.headers.get("mcp-session-id") ?? "",
    "mcp-protocol-version": "2025-11-25",
  };
  await (await rpc({ jsonrpc: "2.0", method: "notifications/initialized" }, session)).text();
  await (await rpc({ jsonrpc: "2.0", id: 1, method: "resources/subscribe", params: { uri: URI } }, session)).text();
  const get = await agent.fetch("/mcp", { headers: { ...session, accept: "text/event-stream" } });
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const listen = await rpc(
    {
      jsonrpc: "2.0",
      id: 2,
      method: "subscriptions/listen",
      params: { notifications: { resourceSubscriptions: [URI] }, _meta },
    },
    { "mcp-protocol-version": "2026-07-28", "mcp-method": "subscriptions/listen" },
  );
  const events = await agent.fetch("/contexts/team/watched/stream");
  expect(events.headers.get("content-type")).toBe("text/event-stream");
  const streams = [follow(get), follow(listen), follow(events)];
  await write();
  for (const stream of streams)
    await eventually("the update on a stream", () => updates(stream) > 0, { seen: () => stream.text() });

  const idle = await openRaw(agent.proxy, `${new URL(agent.base).hostname}:80`);
  const first = Promise.withResolvers<void>();
  let answered = "";
  idle.on("data", (chunk: Buffer) => {
    answered += chunk.toString("latin1");
    if (answered.includes('"ready":true')) first.resolve();
  });
  const idleClosed = new Promise<void>((resolve) => idle.on("close", () => resolve()));
  idle.resume();
  idle.write(`GET /health HTTP/1.1\r\nHost: cairn\r\n\r\n`);
  await within("an answer on the connection that stays open", first.promise);
  return { agent, session, streams, idle, idleClosed };
}

const updates = (stream: Followed): number =>
  stream.text().split(/notifications\/resources\/updated|event: change/).length - 1;

/** Every stream and connection of this client is closed, seen from its side; answers the milliseconds that took. */
async function allClosed({ streams, idleClosed }: Held): Promise<number> {
  const started = performance.now();
  await within(
    "streams and connections to be closed",
    Promise.all([...streams.map(({ ended }) => ended), idleClosed]),
    BOUND_MS,
  );
  return performance.now() - started;
}

/** Nothing is told any more after a further write, which a client that may read finds done. */
async function hearsNothing({ streams }: Held): Promise<void> {
  const before = streams.map(updates);
  await write();
  expect((await witness.get("team/watched")).text).toBe(`write ${writes}`);
  expect(streams.map(updates)).toEqual(before);
}

const joinAs = (hostname: string, user: string, more: { ip?: string } = {}) =>
  joinAgent(tailnet, `http://cairn.${tailnet.domain}`, { hostname, user, ...more });

/** Waits until the node says that it closed at least so many connections since `from` characters of its log. */
async function saidClosed(from: number, atLeast: number): Promise<void> {
  await eventually(
    `${atLeast} closed connections in the log`,
    () => {
      const found = node.stderr.slice(from).matchAll(/rights changed: closed (\d+) connection/g);
      return [...found].reduce((sum, [, count]) => sum + Number(count), 0) >= atLeast;
    },
    { withinMs: BOUND_MS, seen: () => node.stderr.slice(from) },
  );
}

describe("open streams and connections end, and the next request is refused, when", () => {
  const reachable: [name: string, take: (hostname: string, login: string) => Promise<void>, code: string][] = [
    ["a grant is revoked", async () => tailnet.grants([]), "forbidden"],
    [
      "a grant becomes one for another space",
      async (_, login) => {
        await tailnet.grants([
          { src: [login], dst: ["cairn"], app: { [CAPABILITY]: [{ role: "member", spaces: ["x"] }] } },
        ]);
      },
      "",
    ],
    [
      "the device becomes another user's",
      async (hostname) => tailnet.update(hostname, { user: "mallory@example.com" }),
      "forbidden",
    ],
    [
      "the device becomes a tagged one",
      async (hostname) => tailnet.update(hostname, { tags: ["tag:other"] }),
      "forbidden",
    ],
    [
      "the device is of another tailnet now",
      async (hostname) => tailnet.update(hostname, { foreign: "shared-in" }),
      "caller_foreign",
    ],
  ];
  test.each(reachable)(
    "%s",
    async (name, take, code) => {
      const hostname = `r-${reachable.findIndex(([row]) => row === name)}`;
      const login = `${hostname}@example.com`;
      await tailnet.grants(allow(login));
      const agent = await joinAs(hostname, login);
      await eventually("the grant to arrive", async () => (await agent.call("whoami")).status === 200);
      const held = await holdOpen(agent);
      await take(hostname, login);
      expect(await allClosed(held)).toBeLessThan(BOUND_MS);
      const after = await agent.get("team/watched");
      expect(after.status).toBe(403);
      if (code !== "") expect(after.body["code"]).toBe(code);
      await hearsNothing(held);
      // The session is gone too, and cannot be taken up again.
      const ping = { method: "POST", body: JSON.stringify({ jsonrpc: "2.0", id: 9, method: "ping" }) };
      const again = await agent.http("/mcp", { ...ping, headers: { ...JSON_TYPES, ...held.session } });
      expect([403, 404]).toContain(again.status);
      await tailnet.clientClose(hostname);
    },
    120_000,
  );

  test("the policy file takes it away", async () => {
    await tailnet.grants([]);
    writePolicy(["carol@example.com"]);
    const agent = await joinAs("carol", "carol@example.com");
    // The change closes every connection, also one on which the refusal from before it is on its way.
    const mayAsk = async () => (await agent.call("whoami").catch(() => undefined))?.status === 200;
    await eventually("the policy file to be read", mayAsk);
    const held = await holdOpen(agent);
    writePolicy([]);
    expect(await allClosed(held)).toBeLessThan(BOUND_MS);
    expect((await agent.get("team/watched")).status).toBe(403);
    await hearsNothing(held);
  }, 120_000);

  // These cannot be reached any more, so it is the node that tells of the end.
  const gone: [name: string, take: (hostname: string) => Promise<void>][] = [
    ["the node is removed", async (hostname) => tailnet.remove(hostname)],
    ["it is expired by an admin", async (hostname) => tailnet.update(hostname, { expired: true })],
    [
      "its key expires by the clock",
      async (hostname) => tailnet.update(hostname, { keyExpiry: new Date(Date.now() + 2_000) }),
    ],
    ["it is jailed", async (hostname) => tailnet.update(hostname, { jailed: true })],
  ];
  test.each(gone)(
    "%s",
    async (name, take) => {
      const hostname = `g-${gone.findIndex(([row]) => row === name)}`;
      const login = `${hostname}@example.com`;
      await tailnet.grants(allow(login));
      const agent = await joinAs(hostname, login);
      await eventually("the grant to arrive", async () => (await agent.call("whoami")).status === 200);
      const held = await holdOpen(agent);
      const from = node.stderr.length;
      await take(hostname);
      await saidClosed(from, 3);
      await hearsNothing(held);
      // Its packets are dropped, or where WireGuard still takes them, it is refused.
      const after = await agent.http("/health", { signal: AbortSignal.timeout(1_000) }).catch(() => undefined);
      expect([undefined, 403]).toContain(after?.status);
      await tailnet.clientClose(hostname);
    },
    120_000,
  );

  test("its address goes to another node: nothing of the old one is the new one's", async () => {
    await tailnet.grants(allow("bob@example.com"));
    const bob = await joinAs("bob", "bob@example.com");
    await eventually("the grant to arrive", async () => (await bob.call("whoami")).status === 200);
    const held = await holdOpen(bob);
    const from = node.stderr.length;
    await tailnet.remove("bob");
    const heir = await joinAs("heir", "heir@example.com", { ip: bob.ip });
    expect(heir.ip).toBe(bob.ip);
    await saidClosed(from, 3);
    const asked = await heir.call("whoami");
    expect(asked.status).toBe(403);
    expect(asked.body["detail"]).toContain("heir@example.com");
    const list = { method: "POST", body: JSON.stringify({ jsonrpc: "2.0", id: 9, method: "resources/list" }) };
    const steal = () => heir.http("/mcp", { ...list, headers: { ...JSON_TYPES, ...held.session } });
    // Without a grant it is refused before its session is looked at.
    expect((await steal()).status).toBe(403);
    expect((await heir.get("team/watched")).status).toBe(403);
    await hearsNothing(held);
    await tailnet.grants(allow("heir@example.com"));
    await eventually("the grant of the heir", async () => (await heir.call("whoami")).status === 200);
    expect((await steal()).status).toBe(404);
    await tailnet.clientClose("bob");
  }, 120_000);
});

test("rights of others that change leave a caller's streams alone", async () => {
  await tailnet.grants(allow("stay@example.com", "other@example.com"));
  const agent = await joinAs("stay", "stay@example.com");
  await eventually("the grant to arrive", async () => (await agent.call("whoami")).status === 200);
  const held = await holdOpen(agent);
  const other = await joinAs("other", "other@example.com");
  await eventually("the other grant to arrive", async () => (await other.call("whoami")).status === 200);
  const before = held.streams.map(updates);
  await tailnet.grants(allow("stay@example.com"));
  await eventually("the other grant to end", async () => (await other.call("whoami")).status === 403);
  await write();
  for (const [index, stream] of held.streams.entries())
    await eventually("the update on a stream that stays", () => updates(stream) > (before[index] ?? 0));
  expect(held.streams.every((stream) => stream.isOpen())).toBe(true);
  held.idle.destroy();
}, 120_000);
