// The streams of events/stream without a client: one that does not read, a gap while it is open, cancelled requests,
// sessions that end, bounds, and the end of the node.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { eventFeature } from "../../src/features/event/index.ts";
import { createMcp, type Mcp } from "../../src/mcp/index.ts";
import { type Events, sender, startEvents } from "../kit/events.ts";
import { until } from "../kit/mcp-client.ts";
import { messagesOf } from "../kit/mcp-notifications.ts";

type Json = Record<string, unknown>;

const OLDER = "2025-11-25";
const NEWEST = "2026-07-28";
const SUB = { name: "cairn.event", arguments: { space: "team-a" } };

let events: Events;
let mcp: Mcp;
function start(options: Parameters<typeof startEvents>[0] = {}, keepAliveMs = 10_000) {
  events = startEvents(options);
  const { invoker } = events.core;
  mcp = createMcp({ invoker, features: [eventFeature], version: "0", keepAliveMs, log: () => {} });
}
beforeEach(() => start());

/** Starts anew, with other options. */
async function again(...options: Parameters<typeof start>): Promise<void> {
  await mcp.close();
  await events[Symbol.asyncDispose]();
  start(...options);
}
afterEach(async () => {
  await mcp.close();
  await events[Symbol.asyncDispose]();
});

const publish = (n: number, data: Json = {}) =>
  events.publish("bob", { space: "team-a", type: "t", data: { n, ...data } });
const openStreams = () => events.core.invoker.openStreams;

function post(body: unknown, headers: Record<string, string>): Promise<Response> {
  const all = { "content-type": "application/json", accept: "application/json, text/event-stream", ...headers };
  const request = new Request("http://cairn/mcp", { method: "POST", headers: all, body: JSON.stringify(body) });
  return mcp.fetch(request, sender("ann"));
}

/** Sends a request of the newest revision. */
function modern(method: string, params: Json, id: string | number = 7): Promise<Response> {
  const meta = {
    "io.modelcontextprotocol/protocolVersion": NEWEST,
    "io.modelcontextprotocol/clientInfo": { name: "test", version: "0" },
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const name = typeof params["name"] === "string" ? { "mcp-name": params["name"] } : {};
  const headers = { "mcp-protocol-version": NEWEST, "mcp-method": method, ...name };
  return post({ jsonrpc: "2.0", id, method, params: { ...params, _meta: meta } }, headers);
}

/** Opens a session of an older revision and returns how to send in it. */
async function session() {
  const params = { protocolVersion: OLDER, capabilities: {}, clientInfo: { name: "test", version: "0" } };
  const opened = await post({ jsonrpc: "2.0", id: 0, method: "initialize", params }, {});
  const id = opened.headers.get("mcp-session-id") ?? "";
  const headers = { "mcp-session-id": id, "mcp-protocol-version": OLDER };
  return { headers, send: (body: unknown) => post(body, headers) };
}

const numbers = (messages: readonly Json[]) =>
  messages.map(({ params }) => (params as { data: { data: { n: number } } }).data.data.n);

test("a client that does not read is let go, with the reason", async () => {
  await again({}, 20);
  const response = await modern("events/stream", SUB);
  await publish(1);
  await until(
    () => openStreams() === 0,
    () => openStreams(),
  );
  await publish(2);
  const { messages, reading, of } = messagesOf(response);
  await reading;
  expect(of("error")).toMatchObject([{ params: { error: { message: expect.stringContaining("has not read for") } } }]);
  expect(messages.at(-1)).toMatchObject({ id: 7, result: { resultType: "complete" } });
});

test("a client that reads slowly gets everything in order, and nothing is queued for it beyond a step", async () => {
  const response = await modern("events/stream", SUB);
  const text = "x".repeat(100_000);
  for (let n = 0; n < 30; n += 1) await publish(n, { text });
  await Bun.sleep(100);
  const { of, reading } = messagesOf(response);
  await until(
    () => of("event").length === 30,
    () => of("event").length,
    10_000,
  );
  expect(numbers(of("event"))).toEqual(Array.from({ length: 30 }, (_, n) => n));
  mcp.callersChanged();
  await reading;
});

test("the first message confirms, the last one is the result, and all name the request", async () => {
  const response = await modern("events/stream", SUB, "abc");
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  const { messages, reading } = messagesOf(response);
  await publish(1);
  await until(
    () => messages.length >= 2,
    () => messages,
  );
  mcp.callersChanged(["nother"]);
  expect(openStreams()).toBe(1);
  mcp.callersChanged(["nann"]);
  await reading;
  const meta = { "io.modelcontextprotocol/subscriptionId": "abc" };
  expect(messages[0]).toMatchObject({
    method: "notifications/events/active",
    params: { truncated: false, _meta: meta },
  });
  expect(messages.at(-1)).toEqual({ jsonrpc: "2.0", id: "abc", result: { resultType: "complete", _meta: meta } });
  expect(openStreams()).toBe(0);
});

test("events that retention removes before they are sent are a gap, and the stream goes on", async () => {
  await publish(0);
  const response = await modern("events/stream", SUB);
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  // The confirmation is read, then nothing, while more comes than is sent at once.
  await reader.read();
  await reader.read();
  for (let n = 1; n <= 200; n += 1) await publish(n);
  events.limits.events.keepCount = 3;
  await publish(201);
  await events.retain();
  reader.releaseLock();
  const { of, reading } = messagesOf(response);
  await until(
    () => numbers(of("event")).at(-1) === 201,
    () => of("event").length,
    10_000,
  );
  expect(of("active")).toMatchObject([{ params: { truncated: true } }]);
  const found = numbers(of("event"));
  expect(found).toEqual([...new Set(found)].sort((a, b) => a - b));
  expect(found.length).toBeLessThan(201);
  mcp.callersChanged();
  await reading;
});

test("a request of a session is cancelled by its id, and the end of the session ends it", async () => {
  const one = await session();
  const open = (id: number) => one.send({ jsonrpc: "2.0", id, method: "events/stream", params: SUB });
  const first = messagesOf(await open(1));
  const second = messagesOf(await open(2));
  await until(
    () => first.of("active").length + second.of("active").length === 2,
    () => openStreams(),
  );
  await one.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } });
  await first.reading;
  expect(openStreams()).toBe(1);
  const gone = new Request("http://cairn/mcp", { method: "DELETE", headers: one.headers });
  expect((await mcp.fetch(gone, sender("ann"))).status).toBe(200);
  await second.reading;
  expect(openStreams()).toBe(0);
});

test("in a batch it is refused, with what to do", async () => {
  const one = await session();
  const response = await one.send([{ jsonrpc: "2.0", id: 1, method: "events/stream", params: SUB }]);
  expect(await response.text()).toContain("not in a batch");
  expect(openStreams()).toBe(0);
});

test("a caller has as many streams as waits and streams of all kinds", async () => {
  await again({ streamsPerCaller: 1 });
  const held = await modern("events/stream", SUB);
  const refused = (await (await modern("events/stream", SUB, 8)).json()) as Json;
  expect(refused["error"]).toMatchObject({ code: -32025, data: { error: "ResourceExhausted", limit: "requests" } });
  await held.body?.cancel();
  await until(() => openStreams() === 0, openStreams);
});

test("the end of the node ends them with their result", async () => {
  const { messages, reading } = messagesOf(await modern("events/stream", SUB));
  await until(
    () => messages.length > 0,
    () => messages,
  );
  await mcp.close();
  await reading;
  expect(messages.at(-1)).toMatchObject({ id: 7, result: { resultType: "complete" } });
});

test("a server without events has no such method, and says nothing of them", async () => {
  await mcp.close();
  mcp = createMcp({ invoker: events.core.invoker, features: [], version: "0", log: () => {} });
  expect(await (await modern("events/list", {})).json()).toMatchObject({ error: { code: -32601 } });
  const found = (await (await modern("server/discover", {})).json()) as { result: { capabilities: Json } };
  expect(Object.keys(found.result.capabilities)).not.toContain("events");
});
