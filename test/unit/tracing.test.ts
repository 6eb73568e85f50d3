// The way of a node to its collector, as the settings name it: address, headers with their secrets, network, and what
// is told where spans do not arrive.

import { expect, test } from "bun:test";
import { valuesOf } from "../../src/config/setting.ts";
import { SETTINGS, type Settings } from "../../src/config/settings.ts";
import { openTracing } from "../../src/node/tracing.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import { Metrics } from "../../src/observe/metrics.ts";
import type { Outbound } from "../../src/operation/node-parts.ts";
import { faultOf } from "../kit/refusal.ts";

const TOKEN = "Zm9v-canary-token";
const ENV = { CAIRN_SECRET_OTLP: TOKEN, CAIRN_SECRET_WHOLE: "Basic Yw-canary=", CAIRN_SECRET_BROKEN: "canary\nline" };

interface Asked {
  network: string;
  url: string;
  init: Parameters<Outbound>[1];
}

/** Opens the traces of a node, and returns what is asked of the collector and what it answers. */
function open(changes: Partial<Settings>) {
  const asked: Asked[] = [];
  const answers: (() => Response)[] = [];
  const way = (network: string): Outbound => {
    return async (url, init) => {
      asked.push({ network, url: url.href, init });
      return answers.shift()?.() ?? Response.json({});
    };
  };
  const lines: string[] = [];
  const conditions = new Conditions((_level, message) => void lines.push(message));
  const settings: Settings = { ...valuesOf(SETTINGS, {}), ...changes };
  const host = { outbound: way("host"), tailnet: way("tailnet"), env: ENV };
  const tracing = openTracing({ settings, host, conditions, nodeId: () => "nSELF" });
  return { tracing, asked, answers, conditions, lines };
}

async function record({ tracing }: ReturnType<typeof open>, count = 1): Promise<void> {
  for (let at = 0; at < count; at += 1)
    tracing?.tracer.begin("whoami", { kind: "server", parent: undefined, by: { name: "user:ann@x" } }).end();
  await tracing?.close();
}

test("there are none without an address", () => {
  expect(open({}).tracing).toBeUndefined();
});

test.each([
  ["https://otel.example.com", "https://otel.example.com/v1/traces"],
  ["http://10.0.0.9:4318/otlp/", "http://10.0.0.9:4318/otlp/v1/traces"],
  ["https://otel.example.com/api/v1/traces", "https://otel.example.com/api/v1/traces"],
])("%s gets spans at %s, with the secrets of its headers", async (url, wanted) => {
  const headers = ["Authorization=Bearer secret:OTLP", "X-Key=secret:WHOLE"];
  const world = open({ "traces.url": url, "traces.headers": headers, "traces.service": "mesh" });
  await record(world);
  expect(world.asked).toMatchObject([{ network: "host", url: wanted, init: { method: "POST" } }]);
  const [{ init } = { init: undefined }] = world.asked;
  expect(init?.headers).toMatchObject({
    ...{ authorization: `Bearer ${TOKEN}`, "x-key": "Basic Yw-canary=", "content-type": "application/json" },
  });
  const body = Buffer.from(init?.body ?? []).toString("utf8");
  const [sent] = (JSON.parse(body) as { resourceSpans: { resource: { attributes: unknown[] } }[] }).resourceSpans;
  expect(sent?.resource.attributes).toContainEqual({ key: "service.name", value: { stringValue: "mesh" } });
  expect(sent?.resource.attributes).toContainEqual({ key: "service.instance.id", value: { stringValue: "nSELF" } });
  expect(body).not.toContain("canary");
});

test("a device of the tailnet is reached there alone, and in plain HTTP", async () => {
  const world = open({ "traces.url": "http://collector:4318", "traces.tailnet": true });
  await record(world);
  expect(world.asked).toMatchObject([{ network: "tailnet", url: "http://collector:4318/v1/traces" }]);
  const fault = faultOf(() => open({ "traces.url": "https://collector", "traces.tailnet": true }));
  expect([fault.code, fault.message]).toEqual([
    "config_invalid",
    "traces.tailnet is set, and traces.url is https://collector",
  ]);
});

test.each([
  ["MISSING", "is not set on this node"],
  ["BROKEN", "has characters that no header can have"],
])("a header whose secret is %s is refused at the start, without its value", async (name, why) => {
  const settings = { "traces.url": "https://otel.example.com", "traces.headers": [`authorization=secret:${name}`] };
  const fault = faultOf(() => open(settings));
  expect([fault.code, fault.message]).toEqual(["config_invalid", expect.stringContaining(why)]);
  expect(JSON.stringify([fault.message, fault.hint])).not.toContain("canary");
});

test("what a collector says of a secret is not shown, nor is a redirect followed", async () => {
  const headers = ["authorization=secret:WHOLE"];
  const world = open({ "traces.url": "https://otel.example.com", "traces.headers": headers });
  world.answers.push(() => new Response("token Yw-canary= is unknown", { status: 401 }));
  await record(world);
  expect(world.conditions.list()).toMatchObject([
    { code: "traces_not_sent", text: "otel.example.com: it answered 401: token [redacted] is unknown" },
  ]);
  expect(world.lines.join()).not.toContain("canary");
  const moved = open({ "traces.url": "https://otel.example.com", "traces.headers": headers });
  moved.answers.push(() => new Response(null, { status: 307, headers: { location: "https://elsewhere.example.com" } }));
  await record(moved);
  expect(moved.asked).toHaveLength(1);
  expect(moved.conditions.list()[0]?.text).toBe("otel.example.com: it answered 307");
});

test("what becomes of spans is counted, and that one caller asked for too many", async () => {
  const world = open({ "traces.url": "https://otel.example.com" });
  world.answers.push(() => new Response(null, { status: 400 }));
  const metrics = new Metrics();
  world.tracing?.metrics(metrics);
  await record(world, 1500);
  const counted = (name: string) => Number(new RegExp(`^cairn_trace_${name} (\\d+)$`, "m").exec(metrics.text())?.[1]);
  expect(counted('spans_total\\{outcome="failed"\\}')).toBe(512);
  expect(counted('spans_total\\{outcome="sent"\\}')).toBeGreaterThan(0);
  expect(counted("unrecorded_total")).toBeGreaterThan(0);
});
