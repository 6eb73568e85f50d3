// The WebSocket of events over the tailnet: through the ingress of the Go half in both directions, judged like any
// request.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Agent, joinAgent, openRaw } from "../kit/agent.ts";
import { eventually } from "../kit/eventually.ts";
import { startNode, type TestNode } from "../kit/node.ts";
import { TestTailnet } from "../kit/tailnet.ts";

let tailnet: TestTailnet;
let node: TestNode;
let owner: Agent;
let eve: Agent;

beforeAll(async () => {
  tailnet = await TestTailnet.start();
  await tailnet.auth("open");
  await tailnet.expect({ hostname: "cairn", user: "owner@example.com" });
  node = await startNode({ tailnet, env: { TS_AUTHKEY: "tskey-auth-kANY-1" } });
  const base = `http://cairn.${tailnet.domain}`;
  owner = await joinAgent(tailnet, base, { hostname: "laptop", user: "owner@example.com" });
  eve = await joinAgent(tailnet, base, { hostname: "eve", user: "eve@example.com" });
}, 600_000);

afterAll(async () => {
  await node?.[Symbol.asyncDispose]();
  await tailnet?.[Symbol.asyncDispose]();
}, 60_000);

const UPGRADE =
  "Host: cairn\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";

/** A text frame of a client whose mask is zero: its bytes are the message. */
function frameOf(message: unknown): Buffer {
  const text = Buffer.from(JSON.stringify(message));
  return Buffer.concat([Buffer.of(0x81, 0x80 | text.length, 0, 0, 0, 0), text]);
}

async function open(agent: Agent, more = "", first: Uint8Array = new Uint8Array()) {
  const socket = await openRaw(agent.proxy, "cairn:80");
  const seen = { text: "" };
  socket.on("data", (chunk: Buffer) => {
    seen.text += chunk.toString("latin1");
  });
  socket.resume();
  socket.write(Buffer.concat([Buffer.from(`GET /events/ws?own=true HTTP/1.1\r\n${UPGRADE}${more}\r\n`), first]));
  const until = (part: string) =>
    eventually(`${part} in ${seen.text}`, async () => seen.text.includes(part) || undefined);
  return { socket, seen, until };
}

test("publishes and receives through the ingress", async () => {
  const { socket, seen, until } = await open(owner);
  await until('{"cursor":"');
  expect(seen.text).toStartWith("HTTP/1.1 101 ");
  socket.write(frameOf({ publish: [{ type: "socket.test" }], ref: 1 }));
  await until('"ref":1');
  await until('"type":"socket.test"');
  expect(seen.text).toContain('"cairncaller":"user:owner@example.com"');
  socket.destroy();
}, 60_000);

test("takes what a client sends in one write with its request", async () => {
  const { socket, until } = await open(owner, "", frameOf({ publish: [{ type: "socket.first" }], ref: 1 }));
  await until('"ref":1');
  await until('"type":"socket.first"');
  socket.destroy();
}, 60_000);

test("is refused to a caller without rights, and to pages of another origin", async () => {
  const stranger = await open(eve);
  await stranger.until("HTTP/1.1 403 ");
  const foreign = await open(owner, "Origin: http://evil.example\r\n");
  await foreign.until("HTTP/1.1 403 ");
}, 60_000);
