// The targets of tas-mcp's REST interface, by its own examples: bodies, statuses, both forms of durations, rules,
// counters, and rights, over an outbox whose way out the test plays.

import { afterEach, beforeEach, expect, test } from "bun:test";
import type { Caller } from "../../src/access/caller.ts";
import { tasTarget } from "../../src/features/event/subscription/tas/target.ts";
import { localAdmin } from "../kit/core.ts";
import { sender } from "../kit/events.ts";
import { startSubscriptions, until } from "../kit/subscriptions.ts";

let node: ReturnType<typeof startSubscriptions>;
beforeEach(() => {
  node = startSubscriptions();
  node.tailnet.set("local", localAdmin);
});
afterEach(() => node[Symbol.asyncDispose]());

const TARGETS = "/api/v1/forwarding/targets";

async function ask(method: string, path: string, body?: unknown, who: Caller = localAdmin) {
  const init = body === undefined ? { method } : { method, body: JSON.stringify(body), headers: JSON_TYPE };
  const response = await node.core.http(path, init, who);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}
const JSON_TYPE = { "content-type": "application/json" };

/** The example of its documentation, with a type that is served. */
const WEBHOOK = {
  id: "target-1",
  name: "Argo Events Webhook",
  type: "webhook",
  endpoint: "https://argo-events.example.com:12000",
  config: { timeout: "30s", retry_attempts: 3, retry_delay: "1s", headers: { "X-Team": "ci" }, batch_size: 100 },
  rules: [
    {
      ...{ id: "rule-1", name: "Critical Events", enabled: true, priority: 5 },
      conditions: [{ field: "event_type", operator: "contains", value: "critical" }],
      rate_limit: { requests_per_second: 10, burst_size: 20, window: 1_000_000_000 },
    },
  ],
};

test("a target is created, listed by its id, shown, replaced and deleted", async () => {
  expect(await ask("GET", TARGETS)).toEqual({ status: 200, body: {} });
  expect(await ask("POST", TARGETS, WEBHOOK)).toEqual({
    status: 201,
    body: { status: "created", target_id: "target-1" },
  });
  const { body: list } = await ask("GET", TARGETS);
  expect(Object.keys(list)).toEqual(["target-1"]);
  const shown = {
    ...{ id: "target-1", name: "Argo Events Webhook", type: "webhook", endpoint: WEBHOOK.endpoint, status: "unknown" },
    config: {
      ...{ timeout: 30_000_000_000, retry_attempts: 3, retry_delay: 1_000_000_000, batch_size: 100 },
      headers: { "X-Team": "ci" },
    },
    rules: [
      {
        ...{ id: "rule-1", name: "Critical Events", enabled: true, priority: 5 },
        conditions: [{ field: "event_type", operator: "contains", value: "critical" }],
        rate_limit: { requests_per_second: 10, burst_size: 20, window: 1_000_000_000 },
      },
    ],
    ...{ error_count: 0, last_healthy: "0001-01-01T00:00:00Z" },
    metrics: { events_sent: 0, events_failed: 0, uptime_percentage: 100, avg_response_time: 0 },
  };
  expect(list["target-1"]).toMatchObject(shown);
  const one = await ask("GET", `${TARGETS}/target-1`);
  expect(one).toMatchObject({ status: 200, body: shown });
  // What was read can be sent back, as its clients do.
  const changed = { ...one.body, endpoint: "https://new.example.com/in" };
  expect(await ask("PUT", `${TARGETS}/target-1`, changed)).toEqual({
    status: 200,
    body: { status: "updated", target_id: "target-1" },
  });
  expect((await ask("GET", `${TARGETS}/target-1`)).body).toEqual(changed);
  expect(await ask("DELETE", `${TARGETS}/target-1`)).toEqual({
    status: 200,
    body: { status: "deleted", target_id: "target-1" },
  });
  for (const method of ["GET", "DELETE"]) expect((await ask(method, `${TARGETS}/target-1`)).status).toBe(404);
  expect(await node.call("event_target_list", {}, localAdmin)).toEqual({ targets: [] });
  expect(await node.call("subscription_list", {}, localAdmin)).toEqual({ subscriptions: [] });
});

test("an id that is there is refused, and PUT makes one that is not", async () => {
  await ask("POST", TARGETS, WEBHOOK);
  expect((await ask("POST", TARGETS, { ...WEBHOOK, endpoint: "https://other.example.com" })).status).toBe(409);
  const other = {
    ...WEBHOOK,
    id: undefined,
    rules: [{ conditions: [{ field: "source", operator: "ne", value: "test" }] }],
  };
  expect((await ask("PUT", `${TARGETS}/other`, other)).body).toEqual({ status: "updated", target_id: "other" });
  expect((await ask("GET", `${TARGETS}/other`)).body).toMatchObject({
    rules: [{ id: "rule-1", conditions: [{ field: "source", operator: "ne", value: "test" }] }],
  });
});

test("a rule that this form has no place for is shown, and cannot be lost by sending it back", async () => {
  await ask("POST", TARGETS, { ...WEBHOOK, rules: null });
  const rules = [{ id: "r", match: { cel: "event.data.n > 5.0" }, sample: 0.5 }];
  await node.call("subscription_change", { id: "default/target-1", rules }, localAdmin);
  const { body } = await ask("GET", `${TARGETS}/target-1`);
  expect(body["rules"]).toMatchObject([{ id: "r", metadata: { cel: "event.data.n > 5.0", sample: "0.5" } }]);
  const back = await ask("PUT", `${TARGETS}/target-1`, body);
  expect(back).toMatchObject({ status: 400, body: { detail: expect.stringContaining("subscription_change") } });
  expect(await node.call("subscription_get", { id: "default/target-1" }, localAdmin)).toMatchObject({
    subscription: { rules },
  });
});

test("durations are text or nanoseconds", async () => {
  for (const timeout of ["30s", 30_000_000_000, "0.5m"])
    expect(tasTarget.parse({ ...WEBHOOK, config: { timeout } }).config?.timeout).toBe(30_000);
  const { body } = await ask("POST", TARGETS, { ...WEBHOOK, config: { timeout: 250_000_000 } });
  expect(body["status"]).toBe("created");
  // A target has whole seconds.
  expect((await ask("GET", `${TARGETS}/target-1`)).body).toMatchObject({ config: { timeout: 1_000_000_000 } });
});

test("types: gRPC by host and port, Argo Events by CloudEvents, an API key by reference", async () => {
  const nothing = { authentication: null, health_check_url: null };
  const config = { headers: { "x-team": "ci" }, ...nothing };
  const grpc = { id: "g", name: null, type: "grpc", endpoint: "tas.example.com:50051", config, rules: null };
  expect((await ask("POST", TARGETS, grpc)).status).toBe(201);
  const authentication = { type: "api-key", token: "secret:KEY", header: "X-Key" };
  const argo = { id: "a", type: "argo-events", endpoint: "https://argo.example.com", config: { authentication } };
  expect((await ask("POST", TARGETS, argo)).status).toBe(201);
  const { targets } = (await node.call("event_target_list", {}, localAdmin)) as { targets: { target: object }[] };
  expect(targets.map(({ target }) => target)).toMatchObject([
    { kind: "http", format: "cloudevents", auth: { type: "header", header: "X-Key", secret: "secret:KEY" } },
    { kind: "grpc", url: "http://tas.example.com:50051", metadata: { "x-team": "ci" } },
  ]);
  const { body } = await ask("GET", `${TARGETS}/a`);
  expect(body).toMatchObject({ type: "argo-events", config: { authentication } });
});

test.each<[string, object, string]>([
  ["a type that is not served", { type: "kafka", endpoint: "kafka-broker:9092" }, "type"],
  [
    "a secret in the clear",
    { config: { authentication: { type: "bearer", token: "abc" } } },
    "config.authentication.token",
  ],
  ["another way to log in", { config: { authentication: { type: "oauth2" } } }, "config.authentication.type"],
  ["a duration that is none", { config: { timeout: "soon" } }, "config.timeout"],
  ["no endpoint", { endpoint: "" }, "endpoint"],
  ["a user in the endpoint", { endpoint: "https://a:b@example.com" }, "target"],
  [
    "an operator that is none",
    { rules: [{ conditions: [{ field: "source", operator: "like", value: "x" }] }] },
    "rules.0.conditions.0.operator",
  ],
  ["an id with other characters", { id: "Target 1" }, "id"],
  ["no id", { id: undefined }, "id is missing"],
  ["no address", { endpoint: undefined }, "endpoint is missing"],
])("%s is 400, and nothing is declared", async (_what, changes, field) => {
  const { status, body } = await ask("POST", TARGETS, { ...WEBHOOK, ...changes });
  expect(status).toBe(400);
  expect(`${JSON.stringify(body)}`).toContain(field);
  expect(await node.call("event_target_list", {}, localAdmin)).toEqual({ targets: [] });
});

test("events are sent in the form of tas-mcp, and the counters are right", async () => {
  await ask("POST", TARGETS, { ...WEBHOOK, rules: WEBHOOK.rules.map(({ rate_limit: _, ...rule }) => rule) });
  node.answers.push(
    () => new Response("ok"),
    () => new Response("wrong", { status: 400 }),
    () => new Response("wrong", { status: 400 }),
    () => new Response("wrong", { status: 400 }),
  );
  await node.call("event_target_set", { ...(await targetOf()), policy: "mcp" }, localAdmin);
  node.start();
  for (const type of ["critical.a", "plain", "critical.b", "critical.c"]) await node.publish(type, { n: 1 }, "default");
  await until(async () => {
    expect((await ask("GET", "/api/v1/forwarding/metrics")).body).toMatchObject({
      ...{ total_events: 4, forwarded_events: 1, failed_events: 2, dropped_events: 1, retry_events: 0 },
      target_metrics: {
        "target-1": { events_sent: 1, events_failed: 2, last_error: "wrong", uptime_percentage: 33.33 },
      },
    });
  });
  expect(node.sent[0]?.body).toMatchObject({ event_type: "critical.a", data: '{"n":1}' });
  expect((await ask("GET", `${TARGETS}/target-1`)).body).toMatchObject({
    status: "healthy",
    metrics: { events_sent: 1 },
  });
});

async function targetOf(): Promise<Record<string, unknown>> {
  const { targets } = (await node.call("event_target_list", {}, localAdmin)) as { targets: Record<string, unknown>[] };
  const { name, target, spaces } = targets[0] ?? {};
  return { name, target, spaces };
}

test("a target that fails is unhealthy, one that is disabled gets nothing", async () => {
  await ask("POST", TARGETS, { ...WEBHOOK, rules: null });
  node.answers.push(() => new Response("later", { status: 503 }));
  node.start();
  await node.publish("x", {}, "default");
  await until(async () =>
    expect((await ask("GET", `${TARGETS}/target-1`)).body).toMatchObject({
      ...{ status: "unhealthy", error_count: 1, last_error: "later" },
      metrics: { events_sent: 0, events_failed: 1, uptime_percentage: 0 },
    }),
  );
  await ask("PUT", `${TARGETS}/target-1`, { ...WEBHOOK, status: "disabled" });
  expect((await ask("GET", `${TARGETS}/target-1`)).body).toMatchObject({ status: "disabled" });
  await ask("PUT", `${TARGETS}/target-1`, WEBHOOK);
  expect((await ask("GET", `${TARGETS}/target-1`)).body["status"]).not.toBe("disabled");
});

test("a test sends one event at once, and says what the target said", async () => {
  await ask("POST", TARGETS, WEBHOOK);
  node.answers.push(
    () => new Response("hello"),
    () => new Response("down", { status: 500 }),
  );
  expect(await ask("POST", `${TARGETS}/target-1/test`)).toMatchObject({
    status: 200,
    body: { target_id: "target-1", success: true, result: "delivered", status: 200, detail: "hello" },
  });
  expect(node.sent[0]?.body).toMatchObject({ event_type: "cairn.target.test" });
  expect((await ask("POST", `${TARGETS}/target-1/test`)).body).toMatchObject({ success: false, status: 500 });
  expect((await ask("POST", `${TARGETS}/none/test`)).status).toBe(404);
});

test("only admins declare, change, test and delete targets; who may not read sees none", async () => {
  await ask("POST", TARGETS, WEBHOOK);
  const member = sender("ann", { role: "member", spaces: ["*"] });
  for (const [method, path, body] of [
    ["POST", TARGETS, { ...WEBHOOK, id: "x" }],
    ["PUT", `${TARGETS}/target-1`, WEBHOOK],
    ["DELETE", `${TARGETS}/target-1`, undefined],
    ["POST", `${TARGETS}/target-1/test`, undefined],
  ] as const)
    expect([method, (await ask(method, path, body, member)).status]).toEqual([method, 403]);
  const other = sender("eve", { role: "reader", spaces: ["team-b"] });
  for (const path of [TARGETS, `${TARGETS}/target-1`, "/api/v1/forwarding/metrics"])
    expect((await ask("GET", path, undefined, other)).status).toBe(403);
});

test("a subscription that is refused leaves no target behind", async () => {
  await node.call(
    "event_target_set",
    { name: "ops", target: { kind: "http", url: "https://x.example.com" }, spaces: ["*"] },
    localAdmin,
  );
  await node.call("subscription_create", { id: "default/target-1", target: "ops" }, localAdmin);
  expect((await ask("POST", TARGETS, WEBHOOK)).status).toBe(409);
  const { targets } = (await node.call("event_target_list", {}, localAdmin)) as { targets: { name: string }[] };
  expect(targets.map(({ name }) => name)).toEqual(["ops"]);
});
