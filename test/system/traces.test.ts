// One trace over a fleet of whole nodes: from a call of MCP at a node that does not lead, over the leader, to a
// webhook. Its spans go through the egress to a collector, with a secret header.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { localHttp } from "../kit/agent.ts";
import { type CollectedSpan, TestCollector } from "../kit/collector.ts";
import { eventually } from "../kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../kit/fleet.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";
const TOKEN = `token-${randomBytes(12).toString("hex")}`;
const HOOK = `whsec_${randomBytes(24).toString("base64")}`;
const MODERN = "2026-07-28";

let collector: TestCollector;
let fleet: Fleet;
let hook: ReturnType<typeof Bun.serve>;
const hooked: { headers: Headers; text: string }[] = [];

beforeAll(async () => {
  collector = new TestCollector();
  hook = Bun.serve({
    ...{ hostname: "127.0.0.1", port: 0 },
    fetch: async (request) => {
      hooked.push({ headers: request.headers, text: await request.text() });
      return new Response("ok");
    },
  });
  const args = [
    ...[
      "--outbound-allow",
      `${collector.host},127.0.0.1:${hook.port}`,
      "--traces-url",
      `http://${collector.host}/otlp`,
    ],
    ...["--traces-headers", "Authorization=secret:OTLP", "--traces-service", "mesh", "--traces-sample-percent", "0"],
  ];
  fleet = await startFleet({ centrals: 2, args, env: { CAIRN_SECRET_OTLP: TOKEN, CAIRN_SECRET_HOOK: HOOK } });
}, 300_000);

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await hook?.stop(true);
  await collector?.[Symbol.asyncDispose]();
}, 60_000);

async function tool(node: FleetNode, name: string, input: object, trace: object): Promise<Record<string, unknown>> {
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": {},
    ...trace,
  };
  const { body } = await localHttp(await node.socket(), "/mcp/events", {
    method: "POST",
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: input, _meta } }),
    headers: {
      ...{ "content-type": "application/json", accept: "application/json, text/event-stream" },
      ...{ "mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": name },
    },
    signal: AbortSignal.timeout(30_000),
  });
  return body;
}

test("joins a call of MCP, its forward, the log, and the request to a webhook, and nothing else is recorded", async () => {
  const leader = await fleet.leader();
  const follower = fleet.up(["central"]).find((node) => node !== leader);
  if (follower === undefined) throw new Error("no follower");
  const target = { kind: "webhook", url: `http://127.0.0.1:${hook.port}/in`, secret: "secret:HOOK" };
  expect((await leader.call("event_target_set", { name: "hook", target, spaces: ["default"] })).status).toBe(200);
  const created = await leader.call("subscription_create", { id: "default/hook", target: "hook" });
  expect([created.status, created.text]).toEqual([200, created.text]);

  const trace = { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: "vendor=1" };
  const input = { type: "build.done", data: { words: "not-in-a-span" } };
  const answer = await tool(follower, "event_publish", input, trace);
  expect(answer).toMatchObject({ result: { structuredContent: { duplicate: false } } });
  const delivered = await eventually("the webhook", () => hooked[0], { withinMs: 30_000 });
  const spans = await eventually(
    "all spans of the trace",
    () => {
      const found = collector.of(TRACE);
      return found.some(({ name }) => name === "deliver webhook") && found.length >= 7 ? found : undefined;
    },
    { withinMs: 30_000, seen: () => JSON.stringify(collector.spans.map(({ name }) => name)) },
  );

  const one = (name: string, node: FleetNode): CollectedSpan => {
    const found = spans.filter((span) => span.name === name && span.resource["service.instance.id"] === node.id);
    expect([name, found.length]).toEqual([name, 1]);
    return found[0] as CollectedSpan;
  };
  const call = one("tools/call event_publish", follower);
  const step = one("event_append", follower);
  const forward = one("forward event_append", follower);
  const there = one("event_append", leader);
  const append = one("log.append", leader);
  const here = one("log.apply_here", follower);
  const deliver = one("deliver webhook", leader);
  const parents = [call, step, forward, there, append, here, deliver].map(({ parentSpanId }) => parentSpanId);
  expect(parents).toEqual([SPAN, call.spanId, step.spanId, forward.spanId, there.spanId, step.spanId, call.spanId]);
  expect([call, step, forward, there, append, here, deliver].map(({ kind }) => kind)).toEqual([2, 1, 3, 2, 1, 1, 3]);
  expect(spans).toHaveLength(7);
  for (const { traceState, resource } of spans)
    expect([traceState, resource["service.name"]]).toEqual(["vendor=1", "mesh"]);

  expect(delivered.headers.get("traceparent")).toBe(`00-${TRACE}-${deliver.spanId}-01`);
  expect(delivered.headers.get("tracestate")).toBe("vendor=1");
  const listed = (await leader.call("event_list", {})).body["events"] as Record<string, unknown>[];
  const kept = listed.find(({ type }) => type === "build.done");
  expect(kept).toMatchObject({ traceparent: `00-${TRACE}-${call.spanId}-01`, tracestate: "vendor=1" });

  // No trace that began at a node is recorded, by the settings.
  expect(new Set(collector.spans.map(({ traceId }) => traceId))).toEqual(new Set([TRACE]));
  expect(collector.problems).toEqual([]);
  for (const { path, headers } of collector.requests)
    expect([path, headers.get("authorization")]).toEqual(["/otlp/v1/traces", TOKEN]);
  const sent = JSON.stringify(collector.spans);
  for (const word of ["not-in-a-span", TOKEN, HOOK, "local:", "build.done"]) expect(sent).not.toContain(word);
  const { text } = await localHttp(await leader.socket(), "/metrics", { signal: AbortSignal.timeout(10_000) });
  expect(text).toMatch(/^cairn_trace_spans_total\{outcome="sent"\} 3$/m);
}, 120_000);

test("a collector that is away is a condition, and no call waits for it", async () => {
  const leader = await fleet.leader();
  collector.answers.push(() => new Response("closed for now", { status: 403 }));
  const headers = { "content-type": "application/json", traceparent: `00-${TRACE.replace("4", "5")}-${SPAN}-01` };
  const asked = await localHttp(await leader.socket(), "/operations/whoami", {
    ...{ method: "POST", body: "{}", headers, signal: AbortSignal.timeout(10_000) },
  });
  expect(asked.status).toBe(200);
  const holds = async (node: FleetNode) => {
    const conditions = (await node.status())?.conditions ?? [];
    return conditions.find(({ code }) => code === "traces_not_sent");
  };
  const found = await eventually("the condition", () => holds(leader), { withinMs: 30_000 });
  expect(found.text).toContain("it answered 403: closed for now");
  await localHttp(await leader.socket(), "/operations/whoami", {
    ...{ method: "POST", body: "{}", headers, signal: AbortSignal.timeout(10_000) },
  });
  await eventually("the condition to end", async () => (await holds(leader)) === undefined, { withinMs: 30_000 });
}, 120_000);

test("a node that stops sends its last spans", async () => {
  const node = fleet.up(["central"])[0];
  if (node === undefined) throw new Error("no node");
  const traceId = TRACE.replace("4", "6");
  await localHttp(await node.socket(), "/operations/whoami", {
    ...{ method: "POST", body: "{}", signal: AbortSignal.timeout(10_000) },
    headers: { "content-type": "application/json", traceparent: `00-${traceId}-${SPAN}-01` },
  });
  node.process.kill("SIGTERM");
  await node.process.exited(20_000);
  expect(collector.of(traceId).map(({ name }) => name)).toEqual(["whoami"]);
}, 120_000);

test("a refusal is logged with its trace, and a collector that does not answer holds up no stop", async () => {
  const node = fleet.up(["central"])[0];
  if (node === undefined) throw new Error("no node");
  const traceId = TRACE.replace("4", "7");
  collector.answers.push(() => new Promise<Response>(() => {}));
  const refused = await localHttp(await node.socket(), "/nowhere", {
    ...{ headers: { traceparent: `00-${traceId}-${SPAN}-01` }, signal: AbortSignal.timeout(10_000) },
  });
  expect(refused.status).toBe(404);
  await node.process.logged("unknown failed: not_found");
  const line = node.process.stderr.split("\n").find((each) => each.includes("unknown failed: not_found")) ?? "";
  expect(JSON.parse(line)).toMatchObject({ level: "info", part: "operation", code: "not_found", trace_id: traceId });
  node.process.kill("SIGTERM");
  const { code, err } = await node.process.exited(20_000);
  expect([code, err]).toEqual([0, expect.stringMatching(/[1-9][0-9]* spans? could not be sent to 127\.0\.0\.1:/)]);
}, 120_000);
