// gRPC on the tailnet port of a real node: events in and out by the service of tas-mcp, and the source of Argo Events;
// and the examples of the documentation of tas-mcp, over HTTP and gRPC.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Agent, joinAgent } from "../kit/agent.ts";
import { TestCollector } from "../kit/collector.ts";
import { eventually } from "../kit/eventually.ts";
import { type GrpcCall, GrpcClient, type Message } from "../kit/grpc.ts";
import { startNode, type TestNode } from "../kit/node.ts";
import { TestTailnet } from "../kit/tailnet.ts";

const OK = 0;
const INVALID_ARGUMENT = 3;
const PERMISSION_DENIED = 7;
const INGEST = "mcp.v1.MCPService/IngestEvent";
const STREAM = "mcp.v1.MCPService/EventStream";
const SOURCE = "generic.Eventing/StartEventSource";

let collector: TestCollector;
let tailnet: TestTailnet;
let node: TestNode;
let owner: Agent;
let other: Agent;
/** Admitted to the tailnet, without any right here. */
let stranger: Agent;
let ann: GrpcClient;
let bob: GrpcClient;

beforeAll(async () => {
  tailnet = await TestTailnet.start();
  await tailnet.auth("open");
  await tailnet.expect({ hostname: "cairn", user: "owner@example.com" });
  collector = new TestCollector();
  const traces = ["--traces-url", `http://${collector.host}`, "--traces-sample-percent", "0"];
  const args = [...traces, "--outbound-allow", collector.host];
  node = await startNode({ tailnet, args, env: { TS_AUTHKEY: "tskey-auth-kANY-1" } });
  const base = `http://cairn.${tailnet.domain}`;
  owner = await joinAgent(tailnet, base, { hostname: "laptop", user: "owner@example.com" });
  await tailnet.grants([
    {
      src: ["bob@example.com"],
      dst: ["cairn"],
      app: { "cairn.internal/cap/cairn": [{ role: "member", spaces: ["*"] }] },
    },
    {
      src: ["owner@example.com"],
      dst: ["cairn"],
      app: {
        "cairn.internal/cap/cairn": [
          { role: "member", spaces: ["*"] },
          { role: "admin", spaces: ["default", "fleet"] },
        ],
      },
    },
  ]);
  other = await joinAgent(tailnet, base, { hostname: "bob", user: "bob@example.com" });
  stranger = await joinAgent(tailnet, base, { hostname: "eve", user: "eve@example.com" });
  ann = await GrpcClient.open(owner);
  bob = await GrpcClient.open(other);
  await eventually("bob to have rights", async () => (await bob.call(INGEST, event("hello"))).status.code === OK);
}, 600_000);

afterAll(async () => {
  for (const client of [ann, bob]) client?.[Symbol.dispose]();
  await node?.[Symbol.asyncDispose]();
  await tailnet?.[Symbol.asyncDispose]();
  await collector?.[Symbol.asyncDispose]();
}, 60_000);

const event = (id: string, more: Record<number, string | number> = {}) => ({
  ...{ 1: id, 2: "build.done", 3: "ci", 5: `{"n":12345678901234567890}`, 6: { severity: "low" } },
  ...more,
});
const idOf = (message: Message | undefined) => message?.text(1);

/** Sends events until the other stream has one of them: a stream begins a moment after its call. */
async function settled(from: GrpcCall, to: GrpcCall, prefix: string): Promise<void> {
  const first = to.receive();
  const done = first.then(() => true);
  for (let index = 0; ; index += 1) {
    from.send(event(`${prefix}-${index}`));
    if (await Promise.race([done, Bun.sleep(200).then(() => false)])) return;
  }
}

describe("tas-mcp", () => {
  test("an event by gRPC is the event of every other door", async () => {
    const { messages, status } = await ann.call(INGEST, event("one", { 4: 1_700_000_000 }), {
      "cairn-space": "team-a",
    });
    expect(status).toMatchObject({ code: OK });
    expect([idOf(messages[0]), messages[0]?.number(2), messages[0]?.text(5)]).toEqual(["one", 1, "accepted"]);
    const { text } = await owner.http("/events?space=team-a");
    expect(JSON.parse(text).events).toMatchObject([
      { id: "one", type: "build.done", time: "2023-11-14T22:13:20Z", severity: "low", cairnspace: "team-a" },
    ]);
    expect(text).toContain('"n":12345678901234567890');
    const again = await ann.call(INGEST, event("one"), { "cairn-space": "team-a" });
    expect(again.messages[0]?.text(3)).toBe("stored before");
  });

  test("an event by gRPC is part of the trace that its metadata names, and keeps it", async () => {
    const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    const metadata = { traceparent: `00-${trace}-00f067aa0ba902b7-01`, tracestate: "vendor=1" };
    const { status } = await ann.call(INGEST, event("traced"), { "cairn-space": "team-a", ...metadata });
    expect(status).toMatchObject({ code: OK });
    const call = await eventually("its span", () =>
      collector.of(trace).find(({ name }) => name === "event_publish_many"),
    );
    expect(call).toMatchObject({ parentSpanId: "00f067aa0ba902b7", traceState: "vendor=1" });
    const { text } = await owner.http("/events?space=team-a&limit=1");
    expect(JSON.parse(text).events).toMatchObject([
      { id: "traced", traceparent: `00-${trace}-${call.spanId}-01`, tracestate: "vendor=1" },
    ]);
    expect(collector.spans.filter(({ traceId }) => traceId !== trace)).toEqual([]);
    await ann.call(INGEST, event("untraced"), { "cairn-space": "team-a", traceparent: "00-0-0-01" });
    const { text: after } = await owner.http("/events?space=team-a&limit=1");
    expect(JSON.parse(after).events[0].traceparent).not.toContain(trace);
  });

  test("what is wrong, or not allowed, is a status that says why", async () => {
    const wrong = await ann.call(INGEST, event("x", { 5: "{" }));
    expect(wrong.status).toMatchObject({ code: INVALID_ARGUMENT, metadata: { "cairn-field": "data" } });
    const long = await ann.call(INGEST, event("x".repeat(129)));
    expect(long.status).toMatchObject({ code: INVALID_ARGUMENT });
    for (const method of [INGEST, "grpc.reflection.v1.ServerReflection/ServerReflectionInfo", SOURCE]) {
      using eve = await GrpcClient.open(stranger); // its connection is closed after each call
      const { status } = await eve.call(method, method === INGEST ? event("x") : { 1: "x" });
      expect(status).toMatchObject({ code: PERMISSION_DENIED });
    }
  });

  test("a stream takes events and sends those of others, and goes on after its client has ended its side", async () => {
    const [left, right] = [ann.start(STREAM), bob.start(STREAM)];
    await settled(left, right, "left");
    await settled(right, left, "right");
    for (let index = 0; index < 300; index += 1) left.send(event(`n${index}`));
    left.end();
    const seen: (string | undefined)[] = [];
    while (seen.at(-1) !== "n299") {
      const message = await right.receive();
      if (message === undefined) throw new Error(JSON.stringify(await right.status));
      if (!idOf(message)?.startsWith("left")) seen.push(idOf(message));
    }
    expect(seen).toEqual(Array.from({ length: 300 }, (_, index) => `n${index}`));
    right.send(event("last"));
    let last = await left.receive();
    while (last !== undefined && last.text(1) !== "last") last = await left.receive();
    expect(last?.entries(6)).toMatchObject({ severity: "low", cairncaller: "user:bob@example.com" });
    for (const call of [left, right]) call.cancel();
  });

  test("StreamEvents begins at a time, with what is kept, and ends where it shall not follow", async () => {
    const all = await bob.call("mcp.v1.MCPService/StreamEvents", {});
    expect(all.status).toMatchObject({ code: OK });
    expect(all.messages.map(idOf)).toContain("n150");
    const none = await bob.call("mcp.v1.MCPService/StreamEvents", { 2: Math.floor(Date.now() / 1000) + 60 });
    expect([none.messages.length, none.status.code]).toEqual([0, OK]);
    const follow = bob.start("mcp.v1.MCPService/StreamEvents");
    follow.send({ 1: "only.this", 3: true });
    follow.end();
    await ann.call(INGEST, event("followed", { 2: "only.this" }));
    expect(idOf(await follow.receive())).toBe("followed");
    follow.cancel();
  });
});

describe("the examples of tas-mcp's own documentation", () => {
  const EVENTS = "/api/v1/events?space=tas";
  const json = { "content-type": "application/json" };
  const post = async (path: string, body: unknown, headers: Record<string, string> = json) => {
    const { status, text } = await owner.http(path, { method: "POST", body: JSON.stringify(body), headers });
    return { status, body: JSON.parse(text) as unknown };
  };

  test("over HTTP: an event, a batch, curl without a type of content, and one without an id", async () => {
    const created = {
      ...{ event_id: "evt-123", event_type: "user.created", source: "auth-service", timestamp: 1_703_001_234 },
      data: '{"user_id": "usr-456", "email": "user@example.com"}',
      metadata: { correlation_id: "req-789", version: "1.0" },
    };
    expect(await post(EVENTS, created)).toEqual({ status: 200, body: { event_id: "evt-123", status: "accepted" } });
    const batch = [
      { event_id: "evt-1", event_type: "order.created", source: "order-service", data: '{"order_id": "ord-123"}' },
      { event_id: "evt-2", event_type: "payment.processed", source: "payment-service", data: "{}" },
    ];
    const results = ["evt-1", "evt-2"].map((event_id) => ({ event_id, status: "accepted" }));
    expect(await post("/api/v1/events/batch?space=tas", batch)).toEqual({
      ...{ status: 200, body: { processed: 2, results } },
    });
    const form = { "content-type": "application/x-www-form-urlencoded" };
    const viewed = { event_type: "product.viewed", source: "web-frontend", data: '{"product_id": "prod-456"}' };
    expect(await post(EVENTS, { ...viewed, event_id: "view-1" }, form)).toMatchObject({ status: 200 });
    // Its examples leave the id out, and its server refuses them.
    expect(await post(EVENTS, viewed, form)).toMatchObject({ status: 400, body: { field: "event_id" } });
    const { text } = await owner.http("/events?space=tas&since=oldest");
    expect(JSON.parse(text).events).toMatchObject([
      {
        ...{ id: "evt-123", type: "user.created", time: "2023-12-19T15:53:54.000Z", version: "1.0" },
        ...{ tasmetadata: '{"correlation_id":"req-789"}', data: { user_id: "usr-456", email: "user@example.com" } },
      },
      { id: "evt-1" },
      { id: "evt-2" },
      { id: "view-1" },
    ]);
    for (const path of ["/health", "/ready"]) expect((await owner.http(path)).status).toBe(200);
  });

  test("over HTTP: targets of forwarding, and their counters", async () => {
    const targets = "/api/v1/forwarding/targets";
    const conditions = [{ field: "event_type", operator: "contains", value: "critical" }];
    const target = {
      ...{
        id: "target-1",
        name: "Argo Events Webhook",
        type: "webhook",
        endpoint: "https://argo-events.example:12000",
      },
      config: { timeout: "30s" },
      rules: [{ id: "rule-1", name: "Critical Events", enabled: true, conditions }],
    };
    expect(await post(targets, target)).toEqual({ status: 201, body: { status: "created", target_id: "target-1" } });
    expect(JSON.parse((await owner.http(targets)).text)).toMatchObject({
      "target-1": { name: target.name, endpoint: target.endpoint, rules: [{ id: "rule-1", conditions }] },
    });
    const kafka = { ...target, id: "kafka-prod", type: "kafka", endpoint: "kafka-broker:9092" };
    expect(await post(targets, kafka)).toMatchObject({ status: 400 });
    const init = { method: "PUT", body: JSON.stringify({ ...target, name: "Renamed" }), headers: json };
    expect((await owner.http(`${targets}/target-1`, init)).status).toBe(200);
    // The names are those of its server; its documentation has others.
    const { text } = await owner.http("/api/v1/forwarding/metrics");
    expect(JSON.parse(text)).toMatchObject({
      forwarded_events: 0,
      target_metrics: { "target-1": { events_failed: 0 } },
    });
    expect((await owner.http(`${targets}/target-1`, { method: "DELETE" })).status).toBe(200);
    expect((await owner.http(`${targets}/target-1`)).status).toBe(404);
  });

  test("over gRPC: an event, ten on a stream, and the same ones again by StreamEvents", async () => {
    const space = { "cairn-space": "tas-grpc" };
    const action = { 1: "evt-123", 2: "user.action", 3: "webapp", 4: Math.floor(Date.now() / 1000) };
    const said = { 5: '{"action": "login", "user_id": "123"}', 6: { ip: "192.168.1.1", user_agent: "Mozilla/5.0" } };
    const { messages, status } = await ann.call(INGEST, { ...action, ...said }, space);
    expect([status.code, idOf(messages[0]), messages[0]?.text(5)]).toEqual([OK, "evt-123", "accepted"]);
    const stream = ann.start(STREAM, space);
    const ids = Array.from({ length: 10 }, (_, index) => `evt-${index}`);
    for (const [index, id] of ids.entries())
      stream.send({ 1: id, 2: "test.event", 3: "test-client", 5: `{"index": ${index}}` });
    stream.end();
    const streamed = async () => {
      const all = await bob.call("mcp.v1.MCPService/StreamEvents", { 1: "test.event" }, space);
      return all.messages.length === ids.length ? all.messages : undefined;
    };
    const found = await eventually("the ten events", streamed);
    expect(found.map((message) => [idOf(message), message.text(5)])).toEqual(
      ids.map((id, index) => [id, `{"index":${index}}`]),
    );
    stream.cancel();
  });
});

test("a source of Argo Events goes on where it was", async () => {
  const open = (): GrpcCall => {
    const call = bob.start(SOURCE);
    call.send({ 1: "cairn", 2: JSON.stringify({ reader: "argo-prod", types: ["argo.*"] }) });
    call.end();
    return call;
  };
  const payload = async (call: GrpcCall) => JSON.parse((await call.receive())?.text(2) ?? "{}") as { id: string };
  const publish = async (id: string) =>
    expect((await ann.call(INGEST, event(id, { 2: "argo.test" }))).status.code).toBe(OK);
  expect((await other.call("event_position", { reader: "argo-prod" })).status).toBe(200);
  const first = open();
  await publish("a1");
  expect(await payload(first)).toMatchObject({ id: "a1", type: "argo.test", specversion: "1.0" });
  first.cancel();
  await publish("a2"); // while no source listens
  const second = open();
  const ids: string[] = [];
  while (ids.at(-1) !== "a2") ids.push((await payload(second)).id);
  // The first event came too shortly before the end to be sure that it was taken.
  expect(ids).toEqual(["a1", "a2"]);
  second.cancel();
}, 60_000);

test("health and reflection", async () => {
  const { messages } = await ann.call("grpc.health.v1.Health/Check", {});
  expect(messages[0]?.number(1)).toBe(1);
  const health = await ann.call("mcp.v1.MCPService/GetHealth", {});
  expect([health.messages[0]?.number(1), health.messages[0]?.text(2)]).toEqual([1, "healthy"]);
  const metrics = await ann.call("mcp.v1.MCPService/GetMetrics", {});
  expect(metrics.messages[0]?.number(1)).toBeGreaterThan(300);
  const listed = await ann.call("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", { 7: "" });
  expect(listed.status.code).toBe(OK);
  expect(listed.messages[0]?.text(6)).toContain("mcp.v1.MCPService");
});

test("a caller who loses its rights loses its streams", async () => {
  const call = bob.start(STREAM);
  await settled(ann.start(STREAM), call, "before");
  await tailnet.grants([]);
  expect((await call.status).code).not.toBe(OK);
  expect((await bob.call(INGEST, event("after")).catch(() => undefined))?.status.code ?? -1).not.toBe(OK);
}, 60_000);
