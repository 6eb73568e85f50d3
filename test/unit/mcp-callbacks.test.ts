// events/subscribe and events/unsubscribe of MCP Events: proof of the address, signed deliveries (`standardwebhooks` is
// the judge), time and refresh, secrets that change, gaps, revoked callers, a change of leader, and what is refused.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Webhook } from "standardwebhooks";
import type { Caller } from "../../src/access/caller.ts";
import { rulesOf } from "../../src/features/event/mcp/callback/subscription.ts";
import { RuleSet } from "../../src/features/event/rules/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { type Got, proving, startCallbacks } from "../kit/callbacks.ts";
import { localAdmin } from "../kit/core.ts";
import { sender } from "../kit/events.ts";

type Json = Record<string, unknown>;

const REVISION = "2026-07-28";
const URL_ = "https://hooks.example.com/mcp/1";
const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const OTHER_SECRET = `whsec_${Buffer.alloc(24, 9).toString("base64")}`;
const SUB = { name: "cairn.event", arguments: { space: "team-a" } };

let node: ReturnType<typeof startCallbacks>;
beforeEach(async () => {
  node = startCallbacks();
  await declare();
});
afterEach(() => node[Symbol.asyncDispose]());

const declare = (hosts = ["*.example.com"], spaces = ["team-*"]) =>
  node.core.call("event_target_set", { name: "mcp", target: { kind: "callback", hosts }, spaces }, localAdmin);

/** Sends a request of the newest revision and returns its result or error. */
async function ask(method: string, params: Json, who: Caller = node.ann, client = "test"): Promise<Json> {
  const meta = {
    "io.modelcontextprotocol/protocolVersion": REVISION,
    "io.modelcontextprotocol/clientInfo": { name: client, version: "0" },
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const headers = {
    ...{ "content-type": "application/json", accept: "application/json, text/event-stream" },
    ...{ "mcp-protocol-version": REVISION, "mcp-method": method },
    ...(typeof params["name"] === "string" ? { "mcp-name": params["name"] } : {}),
  };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: { ...params, _meta: meta } });
  const response = await node.mcp.fetch(new Request("http://cairn/mcp", { method: "POST", headers, body }), who);
  const { result, error } = (await response.json()) as { result?: Json; error?: Json };
  return result ?? { error };
}

const delivery = (url = URL_, secret = SECRET) => ({ mode: "webhook", url, secret });
const subscribe = (more: Json = {}, who: Caller = node.ann, client = "test") =>
  ask("events/subscribe", { ...SUB, delivery: delivery(), ...more }, who, client);
const deliveries = () => node.got.filter(({ body }) => body["type"] === undefined);
const controls = (type: string) => node.got.filter(({ body }) => body["type"] === type);
const numbers = () => deliveries().map(({ body }) => ((body["data"] as Json)["data"] as { n: number }).n);

async function until(holds: () => unknown, withinMs = 15_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    try {
      await holds();
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await Bun.sleep(20);
    }
  }
}

const listed = async () => (await node.core.call("subscription_list", {}, localAdmin))["subscriptions"] as Json[];

/** Reports whether a message is signed by a secret, at a time of the node's clock. */
function isSigned({ text, headers }: Got, secret: string): boolean {
  // The judge takes times of now alone.
  const timestamp = new Date(Number(headers["webhook-timestamp"]) * 1000);
  const signature = new Webhook(secret).sign(headers["webhook-id"] ?? "", timestamp, text);
  return (headers["webhook-signature"] ?? "").split(" ").includes(signature);
}

describe("subscribing", () => {
  test("proves the address by a signed challenge first, and then delivers in order, signed", async () => {
    const { types } = { types: (await ask("events/list", {}))["events"] as Json[] };
    expect(types[0]).toMatchObject({ name: "cairn.event", delivery: ["poll", "push", "webhook"] });
    const grant = await subscribe();
    expect(grant).toMatchObject({ resultType: "complete", truncated: false, cursor: expect.stringMatching(/-e0$/) });
    expect(grant["id"]).toMatch(/^sub_[0-9a-f]{32}$/);
    expect(grant).not.toHaveProperty("deliveryStatus");
    const lives = Date.parse(String(grant["refreshBefore"])) - 1_700_000_000_000;
    expect([lives > 14 * 60_000, lives <= 16 * 60_000]).toEqual([true, true]);
    const [asked] = node.got;
    expect([asked?.url, asked?.body["type"], node.got.length]).toEqual([URL_, "verification", 1]);
    expect(asked?.headers["webhook-id"]).toMatch(/^msg_verification_[0-9a-f]+$/);
    expect(asked !== undefined && isSigned(asked, SECRET)).toBe(true);
    node.lead();
    for (const n of [1, 2, 3]) await node.publish("build.done", { n });
    await until(() => expect(numbers()).toEqual([1, 2, 3]));
    for (const one of deliveries()) {
      expect(isSigned(one, SECRET)).toBe(true);
      expect(isSigned(one, OTHER_SECRET)).toBe(false);
      expect(one.headers).toMatchObject({
        "content-type": "application/json",
        "x-mcp-subscription-id": grant["id"],
        "webhook-id": one.body["eventId"],
      });
      expect(Object.keys(one.body).sort()).toEqual(["cursor", "data", "eventId", "name", "timestamp"]);
    }
    // The cursor is that behind which everything is done with.
    expect(deliveries().map(({ body }) => String(body["cursor"]).split("-e")[1])).toEqual(["0", "1", "2"]);
    const polled = await ask("events/poll", { ...SUB, cursor: deliveries()[2]?.body["cursor"] });
    expect((polled["events"] as Json[]).map(({ eventId }) => eventId)).toEqual([deliveries()[2]?.body["eventId"]]);
  });

  test("chooses by type, source and subject, and leaves out what its caller sent itself", async () => {
    const chosen = { space: "team-a", types: ["build.*", "x.y"], source: "user:*", subject: "ma*" };
    await subscribe({ arguments: chosen });
    node.lead();
    const publish = (n: number, more: Json, who = sender("bob")) =>
      node.core.call("event_publish", { space: "team-a", data: { n }, ...more }, who);
    await publish(1, { type: "build.done", subject: "main" });
    await publish(2, { type: "xay", subject: "main" });
    await publish(3, { type: "build.done", subject: "other" });
    await publish(4, { type: "build.done" });
    await publish(5, { type: "build.done", subject: "main" }, node.ann);
    await publish(6, { type: "x.y", subject: "ma" });
    await until(() => expect(numbers()).toEqual([1, 6]));
  });

  test("is the same for the same caller, address, type and arguments, and another one otherwise", async () => {
    const first = await subscribe();
    const again = await subscribe();
    expect(again).toMatchObject({ id: first["id"], deliveryStatus: { active: true, lastError: null } });
    expect(node.got.length).toBe(1);
    const ids = [
      await subscribe({ arguments: { space: "team-a", types: ["a"] } }),
      await subscribe({ delivery: delivery("https://hooks.example.com/mcp/2") }),
      await subscribe({}, sender("cat", { role: "member", spaces: ["team-a"] })),
    ].map(({ id }) => id);
    expect(new Set([first["id"], ...ids]).size).toBe(4);
    // Each address is proved for each caller, whatever the arguments.
    expect(controls("verification").length).toBe(3);
  });

  test.each<[string, (got: Got) => Response | Promise<Response>, string]>([
    ["says nothing of the challenge", () => new Response("ok"), "challenge_failed"],
    ["repeats another one", () => Response.json({ challenge: "0".repeat(48) }), "challenge_failed"],
    [
      "redirects",
      () => new Response(null, { status: 302, headers: { location: "http://10.0.0.1/" } }),
      "challenge_failed",
    ],
    ["refuses", () => new Response("secret words", { status: 403 }), "http_4xx"],
    ["fails", () => new Response("secret words", { status: 502 }), "http_5xx"],
    ["cannot be reached", () => Promise.reject(new Fault("unavailable", "it is 10.0.0.1")), "connection_refused"],
    ["has a wrong certificate", () => Promise.reject(new Fault("unavailable", "tls: bad certificate")), "tls_error"],
  ])("is refused where the address %s", async (_what, answer, reason) => {
    node.answer.next = answer;
    const { error } = (await subscribe()) as { error: Json };
    expect(error).toMatchObject({ code: -32027, data: { error: "CallbackEndpointError", reason } });
    expect(JSON.stringify(error)).not.toMatch(/secret words|10\.0\.0\.1|whsec/);
    expect(((await subscribe({}, node.ann, "ChatGPT")) as { error: Json }).error["code"]).toBe(-32015);
    expect(await listed()).toEqual([]);
  });

  test("is refused in words where the request is wrong, and no secret is repeated", async () => {
    const refused = async (more: Json, who = node.ann) => ((await subscribe(more, who)) as { error: Json }).error;
    for (const secret of ["x", "whsec_", "whsec_AAAA", `whsec_${Buffer.alloc(65).toString("base64")}`, "whsec_%%%%"]) {
      const error = await refused({ delivery: delivery(URL_, secret) });
      expect(error).toMatchObject({ code: -32602, message: expect.stringContaining("24 to 64 random bytes") });
      expect(JSON.stringify(error)).not.toContain(secret.length > 8 ? secret : "\u0000");
    }
    for (const url of [
      "http://hooks.example.com/",
      "https://u:p@hooks.example.com/",
      "https://hooks.example.com/#a",
      "x",
    ])
      expect(await refused({ delivery: delivery(url) })).toMatchObject({
        code: -32602,
        message: expect.stringContaining("takes https://"),
      });
    expect(await refused({ delivery: delivery("https://elsewhere.net/") })).toMatchObject({ code: -32024 });
    expect(await refused({ delivery: delivery("https://example.com/") })).toMatchObject({ code: -32024 });
    expect(await refused({ name: "no.such" })).toMatchObject({ code: -32023, data: { kind: "event" } });
    expect(await refused({ ttlMs: -1 })).toMatchObject({ code: -32602 });
    expect(await refused({ arguments: { space: "team-b" } })).toMatchObject({ code: -32024 });
    const reader = sender("rita", { role: "reader", spaces: ["team-a"] });
    expect(await refused({}, reader)).toMatchObject({ code: -32024 });
    expect(((await ask("events/list", {}, reader))["events"] as Json[])[0]?.["delivery"]).toEqual(["poll", "push"]);
    await declare(["*.example.com"], ["other"]);
    expect(await refused({})).toMatchObject({ code: -32026, data: { feature: "deliveryMode", value: "webhook" } });
    const types = (await ask("events/list", {}))["events"] as Json[];
    expect(types[0]?.["delivery"]).toEqual(["poll", "push", "webhook"]);
    await node.core.call("event_target_remove", { name: "mcp" }, localAdmin);
    expect(((await ask("events/list", {}))["events"] as Json[])[0]?.["delivery"]).toEqual(["poll", "push"]);
  });

  test("a host is asked for proofs so often and no more", async () => {
    node.answer.next = () => new Response("no", { status: 500 });
    const answers: unknown[] = [];
    for (let n = 0; n < 22; n += 1) {
      const { error } = (await subscribe({ delivery: delivery(`https://a.example.com/${n}`) })) as { error: Json };
      answers.push(error["code"]);
    }
    expect(answers.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => -32027));
    expect(answers.slice(20)).toEqual([-32025, -32025]);
    expect(node.got.length).toBe(20);
  });
});

test.each<[string, Json, string | undefined, Json, boolean]>([
  ["another sender", {}, undefined, { cairncaller: "user:bob" }, true],
  ["its caller", {}, undefined, {}, false],
  ["an agent of its caller", {}, undefined, { cairnagent: "a1" }, true],
  ["the agent that asked", {}, "a1", { cairnagent: "a1" }, false],
  ["its caller, where an agent asked", {}, "a1", {}, true],
  ["its caller, where it wants its own", { own: true }, undefined, {}, true],
  ["a type that only looks alike", { types: ["a.b"], own: true }, undefined, { type: "axb" }, false],
  ["a type with signs of patterns", { types: ["a(b)[c]*"], own: true }, undefined, { type: "a(b)[c]d" }, true],
  ["a type behind another line", { types: ["t"], own: true }, undefined, { type: "t\nx" }, false],
])("rules of a callback and an event of %s", (_what, more, agent, event, isTaken) => {
  const given = { space: "team-a", ...more };
  const rules = rulesOf({ name: "cairn.event", arguments: given }, { caller: "user:ann", agent });
  const record = {
    id: "1",
    source: "user:ann/s",
    type: "t",
    time: "2026-11-30T00:00:00Z",
    cairncaller: "user:ann",
    ...event,
  };
  const verdict = new RuleSet(rules).decide(record, { caller: "user:ann", tags: [], node: "" }, () => true);
  expect(verdict.outcome === "forward").toBe(isTaken);
  expect(verdict.problems).toEqual([]);
});

describe("a subscription", () => {
  test("ends with its time, and lives on where it is asked for again", async () => {
    const grant = await subscribe({ ttlMs: 1 });
    expect(Date.parse(String(grant["refreshBefore"]))).toBeGreaterThanOrEqual(1_700_000_060_000);
    node.pass(59_000);
    await subscribe({ ttlMs: 120_000 });
    node.pass(100_000);
    await node.expire();
    expect(await listed()).toHaveLength(1);
    node.pass(30_000);
    await node.expire();
    expect(await listed()).toEqual([]);
  });

  test("sends nothing after its time, also before it is removed", async () => {
    await subscribe({ ttlMs: 60_000 });
    node.pass(61_000);
    node.lead();
    await node.publish("t", { n: 1 });
    await Bun.sleep(300);
    expect(deliveries()).toEqual([]);
  });

  test("is ended by its caller alone, by what it is", async () => {
    await subscribe();
    const key = { ...SUB, delivery: { url: URL_ } };
    const cat = sender("cat", { role: "member", spaces: ["team-a"] });
    expect(await ask("events/unsubscribe", key, cat)).toMatchObject({
      error: { code: -32023, data: { kind: "subscription" } },
    });
    expect(await ask("events/unsubscribe", key)).toMatchObject({ resultType: "complete" });
    expect(await ask("events/unsubscribe", key)).toMatchObject({ error: { code: -32023 } });
  });

  test("begins at its cursor, and says what was removed before it", async () => {
    await node.publish("t", { n: 1 });
    const { cursor } = await ask("events/poll", SUB);
    await node.publish("t", { n: 2 });
    await node.publish("t", { n: 3 });
    node.limits.events.keepCount = 1;
    await node.publish("t", { n: 4 });
    await node.retain();
    const grant = await subscribe({ cursor });
    expect(grant).toMatchObject({ truncated: true });
    node.lead();
    await until(() => expect(numbers()).toEqual([4]));
  });

  test("learns of events that were removed while it was behind", async () => {
    await subscribe();
    for (const n of [1, 2, 3]) await node.publish("t", { n });
    node.limits.events.keepCount = 1;
    await node.publish("t", { n: 4 });
    await node.retain();
    node.lead();
    await until(() => expect(numbers()).toEqual([4]));
    const [gap] = controls("gap");
    expect(gap?.body).toEqual({ type: "gap", cursor: expect.stringMatching(/-e3$/) });
    expect(gap?.headers["webhook-id"]).toMatch(/^msg_gap_/);
    expect(gap !== undefined && isSigned(gap, SECRET)).toBe(true);
  });

  test("signs with both secrets for a while where its client changes it", async () => {
    await subscribe();
    await subscribe({ delivery: delivery(URL_, OTHER_SECRET) });
    node.lead();
    await node.publish("t", { n: 1 });
    await until(() => expect(deliveries().length).toBe(1));
    const [both] = deliveries();
    expect([both !== undefined && isSigned(both, SECRET), both !== undefined && isSigned(both, OTHER_SECRET)]).toEqual([
      true,
      true,
    ]);
    node.pass(6 * 60_000);
    await node.publish("t", { n: 2 });
    await until(() => expect(deliveries().length).toBe(2));
    const alone = deliveries()[1] as Got;
    expect([isSigned(alone, SECRET), isSigned(alone, OTHER_SECRET)]).toEqual([false, true]);
  });

  test("no secret is in the store", async () => {
    await subscribe();
    await node.publish("t", { n: 1 });
    const { reader } = node.core.store;
    const tables = reader.all<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'");
    const all = tables.map(({ name }) => JSON.stringify(reader.all(`SELECT * FROM "${name}"`))).join("");
    expect(all).toContain("hooks.example.com");
    expect(all).not.toContain(SECRET.slice(6));
  });

  test("waits after a change of leader until its client asks again, and misses nothing", async () => {
    const grant = await subscribe();
    node.lead();
    await node.publish("t", { n: 1 });
    // What is not recorded yet would be sent again.
    await until(async () => expect(await listed()).toMatchObject([{ cursor: expect.stringMatching(/-e1$/) }]));
    await node.change();
    await node.publish("t", { n: 2 });
    await Bun.sleep(300);
    expect(numbers()).toEqual([1]);
    expect(await subscribe()).toMatchObject({ id: grant["id"] });
    await until(() => expect(numbers()).toEqual([1, 2]));
    expect(controls("verification").length).toBe(2);
    expect(await listed()).toMatchObject([{ callback: "hooks.example.com", target: "mcp", state: "active" }]);
  });

  test("an answer of 410 or 413 refuses one event, and a large one is not sent", async () => {
    await subscribe();
    const statuses = [410, 413];
    node.answer.next = (got) => {
      const status = got.body["type"] === undefined ? statuses.shift() : undefined;
      return status === undefined ? proving(got) : new Response("no", { status });
    };
    node.lead();
    for (const n of [1, 2]) await node.publish("t", { n });
    await node.publish("t", { n: 3, text: "x".repeat(262_144) });
    await node.publish("t", { n: 4 });
    await until(() => expect(numbers()).toEqual([1, 2, 4]));
    await until(async () => {
      const { status } = { status: (await subscribe())["deliveryStatus"] as Json };
      expect(status).toMatchObject({ active: true, lastError: null, lastDeliveryAt: expect.any(String) });
    });
    const id = String((await listed())[0]?.["id"]);
    const dead = () => node.core.call("dead_letter_list", { id }, node.ann);
    await until(async () => expect(await dead()).toMatchObject({ total: 3 }));
    const letters = (await dead())["letters"] as Json[];
    expect(letters.map(({ status, attempts }) => [status, attempts])).toEqual([
      [410, 1],
      [413, 1],
      [0, 1],
    ]);
    expect(letters[2]?.["detail"]).toContain("more than 262144 bytes");
  });

  test("stops and says so where its caller may no longer read, and is refused afterwards", async () => {
    await subscribe();
    node.tailnet.set("user:ann@x", sender("ann", { role: "member", spaces: ["other"] }));
    node.lead();
    await node.publish("t", { n: 1 });
    await until(() => expect(controls("terminated").length).toBe(1), 25_000);
    expect(controls("terminated")[0]?.body).toMatchObject({ error: { code: -32024, message: "Forbidden" } });
    expect(deliveries()).toEqual([]);
    await until(async () => expect(await listed()).toMatchObject([{ state: "paused", reason: "revoked" }]));
    const gone = sender("ann", { role: "member", spaces: ["other"] });
    expect(await subscribe({}, gone)).toMatchObject({ error: { code: -32024 } });
    node.tailnet.set("user:ann@x", node.ann);
    node.pass(3000);
    await subscribe();
    await until(() => expect(numbers()).toEqual([1]));
  }, 60_000);

  test("a host that an admin no longer allows gets nothing", async () => {
    await subscribe();
    await declare(["other.example.net"]);
    node.lead();
    await node.publish("t", { n: 1 });
    await Bun.sleep(300);
    expect(deliveries()).toEqual([]);
    expect(await subscribe()).toMatchObject({ error: { code: -32024 } });
  });

  test("a target for callbacks has no address for other subscriptions", async () => {
    const made = node.core.call("subscription_create", { id: "team-a/x", target: "mcp" }, node.ann);
    expect(await made.catch((error: unknown) => error)).toMatchObject({
      code: "invalid_input",
      message: expect.stringContaining("clients of MCP Events name one"),
    });
  });
});
