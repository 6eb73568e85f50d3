// Targets of subscriptions: what is sent to each kind, what its answers mean, and that no secret is shown.

import { expect, test } from "bun:test";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { CallbackKeys } from "../../src/features/event/subscription/callback-keys.ts";
import type { Delivery } from "../../src/features/event/subscription/delivery.ts";
import { waitAfter } from "../../src/features/event/subscription/policy.ts";
import type { PolicyName } from "../../src/features/event/subscription/policy-names.ts";
import { shapeOf } from "../../src/features/event/subscription/shapes.ts";
import { signedHeaders } from "../../src/features/event/subscription/signature.ts";
import { secretsOf } from "../../src/features/event/subscription/targets/address.ts";
import { outwardTarget } from "../../src/features/event/subscription/targets/declared.ts";
import type { TargetParts } from "../../src/features/event/subscription/targets/parts.ts";
import { makeTarget } from "../../src/features/event/subscription/targets/target.ts";
import { Fault } from "../../src/lib/fault.ts";
import type { Outbound } from "../../src/operation/node-parts.ts";

const SECRET = `whsec_${randomBytes(24).toString("base64")}`;
const OLD = `whsec_${randomBytes(24).toString("base64")}`;
const ENV = {
  CAIRN_SECRET_HOOK: SECRET,
  CAIRN_SECRET_OLD: OLD,
  CAIRN_SECRET_TOKEN: "tk_very-secret-token",
  CAIRN_SECRET_SLACK: "https://hooks.slack.com/services/T000/B000/XXXXsecretXXXX",
  CAIRN_SECRET_TOPIC: "alerts-4711",
  CAIRN_SECRET_LOGIN: "ann:pass-word-1",
};
const delivery: Delivery = {
  subscription: "s1",
  offset: 7,
  messageId: "s1-7",
  record: {
    id: "e-1",
    source: "user:ann@example.com/ci",
    type: "build.failed",
    time: "2026-11-29T12:00:00Z",
    subject: "main",
    severity: "7",
    cairnspace: "team-a",
    cairncaller: "user:ann@example.com",
    data: { title: 'Größe "x"', n: 1 },
  },
};

const connections = { open: () => Promise.reject(new Error("no connection")), roots: () => [] };

interface Sent {
  url: string;
  headers: Record<string, string>;
  body: string;
  protocol: string | undefined;
}

const callbackKeys = new CallbackKeys(Date.now);

/** Sends with a target and returns what was sent and how it ended. */
async function send(written: unknown, answer: () => Response | Promise<Response>, changes: Partial<Delivery> = {}) {
  const sent: Sent[] = [];
  const outbound: Outbound = async (url, { headers, body, protocol }) => {
    sent.push({ url: url.href, headers, body: Buffer.from(body ?? []).toString("utf8"), protocol });
    return answer();
  };
  const readSecret = secretsOf(ENV);
  const fleet = { fleetId: () => "fleet-a", nowMs: Date.now };
  const parts: TargetParts = { outbound, tailnet: outbound, connections, callbackKeys, readSecret, ...fleet };
  const ask = () => Promise.reject(new Error("not asked"));
  const target = makeTarget(outwardTarget.parse(written), parts, ask);
  const outcome = await target.send({ ...delivery, ...changes }, new AbortController().signal);
  return { outcome, sent: sent[0] as Sent };
}

const ok = () => new Response("taken", { status: 202 });
const http = { kind: "http", url: "https://example.com/in?x=1" };

test.each<[number, Record<string, string>, string, unknown]>([
  [200, {}, "fine", { result: "delivered", status: 200, detail: "fine" }],
  [204, {}, "", { result: "delivered", status: 204, detail: "" }],
  [
    301,
    { location: "http://10.0.0.1/" },
    "",
    { result: "failed", status: 301, detail: "it redirects, which is not followed" },
  ],
  [400, {}, "no", { result: "refused", status: 400, detail: "no" }],
  [401, {}, "", { result: "failed", status: 401, detail: "" }],
  [404, {}, "", { result: "failed", status: 404, detail: "" }],
  [410, {}, "gone", { result: "ended", status: 410, detail: "gone" }],
  [413, {}, "", { result: "refused", status: 413, detail: "" }],
  [429, { "retry-after": "7" }, "", { result: "failed", status: 429, detail: "", retryAfterMs: 7000 }],
  [429, {}, '{"retry_after": 1.5}', { result: "failed", status: 429, retryAfterMs: 1500 }],
  [429, {}, '{"parameters": {"retry_after": 3}}', { result: "failed", status: 429, retryAfterMs: 3000 }],
  [500, {}, "", { result: "failed", status: 500, detail: "" }],
  [503, { "retry-after": "-1" }, "", { result: "failed", status: 503, retryAfterMs: undefined }],
])("the status %p", async (status, headers, body, expected) => {
  const answer = () => new Response(status === 204 ? null : body, { status, headers });
  expect((await send(http, answer)).outcome).toMatchObject(expected as object);
});

test("a connection that fails, or an address that is refused, is tried again", async () => {
  const refusal = () => Promise.reject(new Fault("unavailable", "example.com is 10.0.0.1, which is private"));
  expect((await send(http, refusal)).outcome).toEqual({
    result: "failed",
    detail: "example.com is 10.0.0.1, which is private",
  });
});

test("a target that hangs has its time", async () => {
  const outbound: Outbound = (_url, { signal }) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const fleet = { fleetId: () => "f", nowMs: Date.now };
  const parts = { outbound, tailnet: outbound, connections, callbackKeys, readSecret: secretsOf(ENV), ...fleet };
  const target = makeTarget(outwardTarget.parse({ ...http, timeout_seconds: 1 }), parts, () => Promise.reject());
  const outcome = await target.send(delivery, new AbortController().signal);
  expect(outcome).toEqual({ result: "failed", detail: "no response within 1 s" });
});

test("no more than the beginning of an answer is read, and no secret of it is shown", async () => {
  let pulled = 0;
  const endless = () =>
    new Response(
      new ReadableStream({
        pull(controller) {
          pulled += 1;
          controller.enqueue(Buffer.from(`you sent tk_very-secret-token\u0007 ${"x".repeat(200)}\n`));
        },
      }),
      { status: 500 },
    );
  const { outcome } = await send({ ...http, auth: { type: "bearer", secret: "secret:TOKEN" } }, endless);
  expect(outcome.detail.length).toBeLessThanOrEqual(512);
  expect(outcome.detail).toContain("you sent [redacted]");
  expect(outcome.detail).not.toContain("\u0007");
  // 8 KiB: a secret has to be whole to be known as one.
  expect(pulled).toBeLessThan(40);
});

test("shapes of http", async () => {
  const structured = (await send(http, ok)).sent;
  expect(structured.headers).toMatchObject({
    "content-type": "application/cloudevents+json; charset=utf-8",
    "cairn-delivery": "s1-7",
  });
  expect(JSON.parse(structured.body)).toEqual({ specversion: "1.0", ...delivery.record });
  const binary = (await send({ ...http, format: "binary" }, ok)).sent;
  expect(binary.headers).toMatchObject({
    "ce-specversion": "1.0",
    "ce-type": "build.failed",
    "content-type": "application/json",
  });
  expect(binary.headers["ce-datacontenttype"]).toBeUndefined();
  expect(JSON.parse(binary.body)).toEqual(delivery.record.data);
  expect(shapeOf({ ...delivery.record, subject: 'ä "%' }, "binary").headers["ce-subject"]).toBe("%C3%A4%20%22%25");
  const tas = JSON.parse((await send({ ...http, format: "tas" }, ok)).sent.body);
  expect(tas).toMatchObject({
    event_id: "e-1",
    event_type: "build.failed",
    timestamp: 1_795_953_600,
    metadata: { severity: "7", subject: "main" },
  });
  expect(JSON.parse(tas.data)).toEqual(delivery.record.data);
  const text = { ...delivery.record, datacontenttype: "text/plain", data: "plain" };
  expect(shapeOf(text, "data")).toEqual({ headers: { "content-type": "text/plain" }, body: "plain" });
  const bytes = { ...delivery.record, data: undefined, data_base64: "AAEC", datacontenttype: "image/png" };
  expect(shapeOf(bytes, "data").body).toEqual(Buffer.from([0, 1, 2]));
});

test("credentials of http are read by reference", async () => {
  const auth = async (value: unknown) => (await send({ ...http, auth: value }, ok)).sent.headers;
  expect(await auth({ type: "bearer", secret: "secret:TOKEN" })).toMatchObject({
    authorization: "Bearer tk_very-secret-token",
  });
  expect(await auth({ type: "basic", secret: "secret:LOGIN" })).toMatchObject({
    authorization: `Basic ${btoa("ann:pass-word-1")}`,
  });
  expect(await auth({ type: "header", header: "X-Key", secret: "secret:TOKEN" })).toMatchObject({
    "x-key": "tk_very-secret-token",
  });
  const missing = await send({ ...http, auth: { type: "bearer", secret: "secret:NONE" } }, ok);
  expect(missing.outcome).toEqual({
    result: "failed",
    detail: "secret:NONE is not set on this node, which reads it from CAIRN_SECRET_NONE",
  });
});

test.each<[unknown]>([
  [{ ...http, url: "ftp://example.com" }],
  [{ ...http, url: "https://ann:pw@example.com/" }],
  [{ ...http, url: "secret:lower" }],
  [{ ...http, headers: { host: "x" } }],
  [{ ...http, headers: { "Cairn-Internal-Secret": "x" } }],
  [{ ...http, headers: { a: "b\r\nc: d" } }],
  [{ ...http, auth: { type: "bearer", secret: "plain" } }],
  [{ kind: "webhook", url: "https://example.com", secret: SECRET }],
  [{ kind: "notify", service: "slack", url: "https://hooks.slack.com/services/x" }],
  [{ kind: "peer", host: "http://cairn" }],
  [{ kind: "other" }],
])("%j is refused", (written) => {
  expect(outwardTarget.safeParse(written).success).toBe(false);
});

test("webhooks are signed as Standard Webhooks says, by both secrets while one replaces the other", async () => {
  const hook = {
    kind: "webhook",
    url: "https://example.com/hook",
    secret: "secret:HOOK",
    previous_secret: "secret:OLD",
  };
  const { sent } = await send(hook, ok);
  for (const secret of [SECRET, OLD])
    expect(new Webhook(secret).verify(sent.body, sent.headers)).toMatchObject({
      type: "build.failed",
      timestamp: delivery.record.time,
    });
  expect(sent.headers["webhook-id"]).toBe("s1-7");
  expect(() => new Webhook(`whsec_${randomBytes(24).toString("base64")}`).verify(sent.body, sent.headers)).toThrow();
  expect(() => new Webhook(SECRET).verify(`${sent.body} `, sent.headers)).toThrow();
});

test("a server of gRPC gets the six fields, metadata and what proves who sends", async () => {
  const written = {
    ...{ kind: "grpc", url: "https://tas.example.com:50051", metadata: { "cairn-space": "ops" } },
    auth: { type: "bearer", secret: "secret:TOKEN" },
  };
  const { sent, outcome } = await send(written, () => new Response("accepted"));
  expect(outcome).toEqual({ result: "delivered", status: 200, detail: "accepted" });
  expect(sent.url).toBe("https://tas.example.com:50051/mcp.v1.MCPService/IngestEvent");
  expect(sent.protocol).toBe("grpc");
  expect(sent.headers).toMatchObject({
    ...{ "cairn-space": "ops", "cairn-delivery": "s1-7", authorization: "Bearer tk_very-secret-token" },
  });
  expect(JSON.parse(sent.body)).toMatchObject({
    ...{ event_id: "e-1", event_type: "build.failed", timestamp: 1_795_953_600 },
    ...{ data: JSON.stringify(delivery.record.data), metadata: { severity: "7", subject: "main" } },
  });
  const { data: _, ...bare } = delivery.record;
  const empty = await send(written, () => new Response("no", { status: 400 }), { record: bare });
  expect(JSON.parse(empty.sent.body)).toMatchObject({ data: "null" });
  expect(empty.outcome).toMatchObject({ result: "refused", status: 400 });
  for (const wrong of [
    { url: "https://tas.example.com/path" },
    { url: "grpc://tas.example.com" },
    { metadata: { "grpc-timeout": "1S" } },
    { metadata: { "cairn-since": "now" } },
    { metadata: { "x-bin": "1" } },
  ])
    expect(outwardTarget.safeParse({ ...written, ...wrong }).success).toBe(false);
});

test("signatures of ed25519 are checked with the public key", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const seed = privateKey.export({ format: "der", type: "pkcs8" }).subarray(-32);
  const headers = signedHeaders({ id: "m", atMs: 5000, body: "{}" }, [`whsk_${seed.toString("base64")}`]);
  const signature = Buffer.from((headers["webhook-signature"] ?? "").replace("v1a,", ""), "base64");
  const { verify } = await import("node:crypto");
  expect(verify(null, Buffer.from("m.5.{}"), publicKey, signature)).toBe(true);
  expect(() => signedHeaders({ id: "m", atMs: 0, body: "" }, ["whsec_c2hvcnQ="])).toThrow(
    "no key of Standard Webhooks",
  );
  expect(() => signedHeaders({ id: "m", atMs: 0, body: "" }, ["whsk_c2hvcnQ="])).toThrow("no key of Standard Webhooks");
});

test("notifications in the form of each service", async () => {
  const notify = async (value: object, changes: Partial<Delivery> = {}) => {
    const { sent } = await send({ kind: "notify", ...value }, ok, changes);
    return { ...sent, value: JSON.parse(sent.body) as Record<string, unknown> };
  };
  const record = {
    ...delivery.record,
    data: { title: "Disk <full>", text: "on @here & x", priority: 5, tags: ["warning"] },
  };
  const ntfy = await notify(
    { service: "ntfy", url: "https://ntfy.sh", topic: "secret:TOPIC", token: "secret:TOKEN" },
    { record },
  );
  expect(ntfy.value).toEqual({
    topic: "alerts-4711",
    title: "Disk <full>",
    message: "on @here & x",
    tags: ["warning"],
    priority: 5,
  });
  expect(ntfy.headers["authorization"]).toBe("Bearer tk_very-secret-token");
  const slack = await notify({ service: "slack", url: "secret:SLACK" }, { record });
  expect(slack.url).toBe(ENV.CAIRN_SECRET_SLACK);
  expect(slack.value).toEqual({ text: "Disk &lt;full&gt;\non @here &amp; x" });
  const discord = await notify({ service: "discord", url: "secret:SLACK" }, { record });
  expect(discord.value).toEqual({ content: "Disk <full>\non @here & x", allowed_mentions: { parse: [] } });
  const telegram = await notify({ service: "telegram", token: "secret:TOKEN", chat_id: "-100123" });
  expect(telegram.url).toBe("https://api.telegram.org/bottk_very-secret-token/sendMessage");
  expect(telegram.value).toEqual({ chat_id: "-100123", text: `Größe "x"\n${JSON.stringify(delivery.record.data)}` });
  const long = await notify(
    { service: "discord", url: "secret:SLACK" },
    { record: { ...record, data: { title: "😀".repeat(500), text: "x".repeat(9000) } } },
  );
  expect(String(long.value["content"]).length).toBeLessThanOrEqual(2000);
  expect(String(long.value["content"]).isWellFormed()).toBe(true);
});

test("people get events together, by default at most 30 messages an hour", async () => {
  const target = { kind: "notify", service: "slack", url: "secret:SLACK" };
  const fleet = { fleetId: () => "f", nowMs: Date.now };
  const parts = {
    outbound: async () => ok(),
    tailnet: async () => ok(),
    connections,
    callbackKeys,
    readSecret: secretsOf(ENV),
    ...fleet,
  };
  const groupOf = (value: object) =>
    makeTarget(outwardTarget.parse({ ...target, ...value }), parts, () => Promise.reject()).group;
  expect(groupOf({})).toEqual({ everyMs: 30_000, perHour: 30, shown: 20 });
  expect(groupOf({ group_seconds: 0, per_hour: 5 })).toEqual({ everyMs: 0, perHour: 5, shown: 20 });
  const { record } = delivery;
  const others = Array.from({ length: 19 }, (_, n) => ({ ...record, data: { title: `t${n}`, text: "y".repeat(500) } }));
  const { sent } = await send({ ...target, service: "discord" }, ok, { others, leftOut: 12 });
  const { content } = JSON.parse(sent.body) as { content: string };
  expect(content).toStartWith("32 events\n");
  expect(content).toEndWith("\nand 12 more, which are left out");
  expect(content.length).toBeLessThanOrEqual(2000);
});

test("a peer gets the event with the fleets that passed it on, and no circle goes on", async () => {
  const peer = { kind: "peer", host: "cairn-b", space: "from-a" };
  const { sent } = await send(peer, ok);
  expect(sent.url).toBe("http://cairn-b/events?space=from-a");
  const event = JSON.parse(sent.body);
  expect(event.cairnhops).toBe("fleet-a");
  expect(Object.keys(event).filter((name) => name.startsWith("cairn"))).toEqual(["cairnhops"]);
  const again = { record: { ...delivery.record, cairnhops: "fleet-a,fleet-b" } };
  expect((await send(peer, ok, again)).outcome).toMatchObject({ result: "skipped" });
  const fleet = "0123456789abcdef0123456789abcdef";
  const back = { record: { ...delivery.record, cairnhops: fleet } };
  expect((await send({ ...peer, fleet }, ok, back)).outcome).toMatchObject({ result: "skipped" });
  expect((await send(peer, ok, back)).outcome).toMatchObject({ result: "delivered" });
  const far = { record: { ...delivery.record, cairnhops: Array.from({ length: 8 }, (_, at) => `f${at}`).join(",") } };
  expect((await send(peer, ok, far)).outcome).toMatchObject({ result: "skipped" });
  // The other fleet finds its own id, which this one does not know.
  const looped = () => new Response("Loop detected", { status: 508 });
  expect((await send(peer, looped)).outcome).toMatchObject({ result: "skipped", status: 508 });
});

test("an event becomes a document of the owner, or part of a list", async () => {
  const asked: [string, Record<string, unknown>][] = [];
  const faults = [new Fault("not_found", "no such context")];
  const target = (mode: "put" | "append") =>
    makeTarget({ kind: "context", mode, id: "team-a/builds" }, {} as TargetParts, async (operation, input) => {
      asked.push([operation, input]);
      const fault = operation === "context_patch" ? faults.shift() : undefined;
      if (fault !== undefined) throw fault;
      return {};
    });
  const { signal } = new AbortController();
  expect(await target("put").send(delivery, signal)).toMatchObject({ result: "delivered" });
  expect(asked[0]).toMatchObject(["context_put", { id: "team-a/builds/7" }]);
  // The same event once; what rules made of it by then is another one.
  await target("put").send(delivery, signal);
  await target("put").send({ ...delivery, record: { ...delivery.record, data: 1 } }, signal);
  const [key, again, changed] = asked.splice(0).map(([, { idempotency_key: each }]) => each);
  expect([again === key, changed === key]).toEqual([true, false]);
  expect(await target("append").send(delivery, signal)).toMatchObject({ result: "delivered" });
  expect(asked.map(([operation]) => operation)).toEqual(["context_patch", "context_put"]);
  expect(asked[1]?.[1]).toMatchObject({ id: "team-a/builds", if_none_match: "*" });
  faults.push(new Fault("too_large", "the document is full"), new Fault("unavailable", "no leader"));
  expect(await target("append").send(delivery, signal)).toEqual({ result: "refused", detail: "the document is full" });
  expect(await target("append").send(delivery, signal)).toEqual({ result: "failed", detail: "no leader" });
});

test("the waits of each policy", () => {
  const waits = (policy: PolicyName, result: "failed" | "refused", count: number) =>
    Array.from({ length: count }, (_, at) => waitAfter(policy, at + 1, { result, detail: "" }, () => 0.5));
  const [s, min, h] = [1000, 60_000, 3_600_000];
  expect(waits("standard", "failed", 10)).toEqual([
    5 * s,
    5 * min,
    30 * min,
    2 * h,
    5 * h,
    10 * h,
    14 * h,
    20 * h,
    24 * h,
    undefined,
  ]);
  expect(waits("standard", "refused", 3)).toEqual([5 * s, 5 * min, undefined]);
  expect(waits("mcp", "failed", 4)).toEqual([30 * s, 2 * min, 10 * min, undefined]);
  expect(waits("mcp", "refused", 1)).toEqual([undefined]);
  expect(waits("peer", "failed", 50).at(-1)).toBe(30 * s);
  const told = waits("notify", "failed", 293);
  expect(told.slice(0, 6)).toEqual([5 * s, 30 * s, min, 2 * min, 5 * min, 5 * min]);
  expect(told.slice(-2)).toEqual([5 * min, undefined]);
  const all = told.reduce<number>((sum, wait) => sum + (wait ?? 0), 0);
  expect(Math.round(all / h)).toBe(24);
  expect(waits("notify", "refused", 3)).toEqual([5 * s, 30 * s, undefined]);
  const asked = (retryAfterMs: number, policy: PolicyName = "standard") =>
    waitAfter(policy, 1, { result: "failed", detail: "", retryAfterMs }, () => 0.5);
  expect([asked(20 * s), asked(1), asked(50 * h)]).toEqual([20 * s, 5 * s, h]);
  expect([asked(20 * s, "notify"), asked(50 * h, "notify")]).toEqual([20 * s, 5 * min]);
});
