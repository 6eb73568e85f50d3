// events/stream of MCP Events at an edge, which holds no events: it is asked of the upstream, goes on from a cursor,
// says where events were passed over, and ends where the right does.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { agentFeature } from "../../src/features/agent/index.ts";
import { eventFeature } from "../../src/features/event/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { createMcp, type Mcp } from "../../src/mcp/index.ts";
import { startEdgePair } from "../kit/edge.ts";
import { type Events, sender, startEvents } from "../kit/events.ts";
import { until } from "../kit/mcp-client.ts";
import { messagesOf } from "../kit/mcp-notifications.ts";

type Json = Record<string, unknown>;

const SUB = { name: "cairn.event", arguments: { space: "team-a" } };

let events: Events;
let pair: ReturnType<typeof startEdgePair>;
let mcp: Mcp;
beforeEach(async () => {
  events = startEvents();
  pair = startEdgePair({ upstream: events.core, features: [agentFeature, eventFeature] });
  await pair.poll();
  const { invoker } = pair.core;
  mcp = createMcp({ invoker, features: [eventFeature], version: "0", keepAliveMs: 200, log: () => {} });
});
afterEach(async () => {
  await mcp.close();
  await pair.close();
  await events[Symbol.asyncDispose]();
});

const publish = (n: number) => events.publish("bob", { space: "team-a", type: "t", data: { n } });

function ask(method: string, params: Json, who = sender("ann")): Promise<Response> {
  const meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": { name: "test", version: "0" },
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const headers = {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": method,
    "mcp-name": SUB.name,
  };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 7, method, params: { ...params, _meta: meta } });
  return mcp.fetch(new Request("http://cairn/mcp", { method: "POST", headers, body }), who);
}

/** Opens a stream; `of` returns the parameters of its notifications. */
async function opened(params: Json, who?: ReturnType<typeof sender>) {
  const { messages, reading, of: sent } = messagesOf(await ask("events/stream", params, who));
  const of = (what: string) => sent(what).map(({ params: each }) => each as Json);
  const numbers = () => of("event").map(({ data }) => (data as { data: { n: number } }).data.n);
  return { messages, reading, of, numbers };
}

test("events reach a stream of an edge once, in order, and a client goes on behind the cursor of any of them", async () => {
  const stream = await opened(SUB);
  await until(
    () => stream.of("active").length === 1,
    () => stream.messages,
  );
  expect(stream.of("active")[0]).toMatchObject({ truncated: false });
  for (let n = 0; n < 3; n += 1) await publish(n);
  await until(
    () => stream.numbers().length === 3,
    () => stream.messages,
  );
  expect(stream.numbers()).toEqual([0, 1, 2]);
  const [first] = stream.of("event");
  const again = await opened({ ...SUB, cursor: first?.["cursor"] });
  await until(
    () => again.numbers().length === 2,
    () => again.messages,
  );
  expect(again.numbers()).toEqual([1, 2]);
  expect(again.of("event").map(({ eventId }) => eventId)).toEqual(
    stream
      .of("event")
      .slice(1)
      .map(({ eventId }) => eventId),
  );
});

test("a poll at an edge is that of its upstream, and a wait is over with the first event", async () => {
  const call = (input: Json) => pair.invoke("event_poll", { ...SUB, ...input }, sender("ann"));
  const { output } = await call({ limit: 0 });
  const since = String(output["cursor"]);
  const waiting = call({ since, timeout_seconds: 30 });
  await publish(1);
  const found = (await waiting).output as { events: Json[]; cursor: string };
  expect(found.events).toMatchObject([{ data: { data: { n: 1 } }, cursor: found.cursor }]);
  expect((await call({ since: found.cursor, timeout_seconds: 1 })).output).toMatchObject({
    ...{ events: [], cursor: found.cursor, truncated: false, more: false },
  });
});

test("where retention was faster, a stream of an edge says so and goes on with what is kept", async () => {
  await publish(0);
  let reach = true;
  pair.setLink(async (_path, deliver) => {
    const answer = await deliver();
    if (!reach) throw new Fault("unavailable", "cut");
    return answer;
  });
  const stream = await opened(SUB);
  await until(
    () => stream.of("active").length === 1,
    () => stream.messages,
  );
  reach = false;
  events.limits.events.keepCount = 1;
  for (let n = 1; n < 6; n += 1) await publish(n);
  await events.retain();
  reach = true;
  await until(
    () => stream.numbers().includes(5),
    () => stream.messages,
  );
  expect(stream.numbers()).toEqual([5]);
  expect(stream.of("active").map(({ truncated }) => truncated)).toEqual([false, true]);
});

test("who may not read the space opens no stream of it at an edge", async () => {
  const eve = sender("eve", { role: "reader", spaces: ["other"] });
  const response = await ask("events/stream", SUB, eve);
  expect(await response.json()).toMatchObject({ error: { data: { error: "Forbidden" } } });
  expect(pair.core.invoker.openStreams).toBe(0);
});
