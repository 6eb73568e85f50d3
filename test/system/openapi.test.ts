// /openapi.json of a whole node is true: every route and operation answers with a status, headers and a body that it
// describes, it names every parameter, and there is no route beside it.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { describeRow, routesOf } from "../../src/api/index.ts";
import { FEATURES, OPERATIONS } from "../../src/features/index.ts";
import { Registry } from "../../src/operation/registry.ts";
import { FLEET_CALLS, json, TEST_HASH } from "../kit/api-calls.ts";
import { eventually } from "../kit/eventually.ts";
import { exampleCalls } from "../kit/examples.ts";
import { type Finished, spawnNode, type TestNode } from "../kit/node.ts";
import { Description } from "../kit/openapi.ts";
import { sampleInputs } from "../kit/sample-input.ts";

let node: TestNode;
let socket: string;
let description: Description;

const ask = (path: string, init: BunFetchRequestInit = {}) => fetch(`http://cairn${path}`, { ...init, unix: socket });

beforeAll(async () => {
  node = await spawnNode({ args: ["--conformance", "--limits-streams-per-caller", "1", "--log-level", "warning"] });
  socket = (await node.ready()).socket;
  description = new Description((await (await ask("/openapi.json")).json()) as Record<string, unknown>);
}, 120_000);

afterAll(async () => {
  const ended: Finished | undefined = await node?.stop();
  // The service that is declared runs nowhere, which is said after half a minute, if all of this takes that long.
  const said = (ended?.err ?? "").split("\n").filter((line) => line !== "" && !line.includes('"service_down"'));
  expect([ended === undefined, said]).toEqual([false, []]);
}, 60_000);

/** Statuses that were seen, by `METHOD template`. */
const seen = new Map<string, Set<number>>();

/** Asks, holds the answer against the description, answers the status. */
async function check(method: string, template: string, path: string, init: BunFetchRequestInit = {}): Promise<number> {
  const response = await ask(path, { method, ...init });
  const isStream = response.headers.get("content-type") === "text/event-stream";
  const text = isStream ? "" : await response.text();
  if (isStream) await response.body?.cancel();
  expect([method, path, description.problems(method, template, response, text)]).toEqual([method, path, []]);
  const promised = description.hasHeader(method, template, response.status, "Cairn-Durability");
  expect([path, response.headers.has("cairn-durability")]).toEqual([path, promised]);
  // A stream goes on while its age changes: none is promised.
  if (isStream) expect([path, description.hasHeader(method, template, 200, "Age")]).toEqual([path, false]);
  const row = `${method} ${template}`;
  seen.set(row, (seen.get(row) ?? new Set()).add(response.status));
  return response.status;
}

/** An event of tas-mcp. */
const tas = { event_id: "e", event_type: "t", source: "s", data: "{}" };

const TAS = "/api/v1/forwarding/targets";
/** A target of tas-mcp; outbound.allow does not list it, so nothing is sent. */
const tasTarget = { id: "tas", name: "T", type: "webhook", endpoint: "https://127.0.0.1:1/", config: {}, rules: [] };

/** Asks for a WebSocket, and returns the status. */
async function upgraded(path: string): Promise<number> {
  const status = Promise.withResolvers<number>();
  const connection = await Bun.connect({
    unix: socket,
    socket: { data: (_, chunk) => status.resolve(Number(chunk.toString("latin1", 9, 12))) },
  });
  const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
  connection.write(
    `GET ${path} HTTP/1.1\r\nHost: cairn\r\n${upgrade}Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`,
  );
  const found = await status.promise;
  connection.terminate();
  seen.set(`GET ${path}`, (seen.get(`GET ${path}`) ?? new Set()).add(found));
  return found;
}

/** Declarations of the examples. The probes fail too seldom to be said down here. */
const DECLARED = {
  "probes/website": { type: "http", target: "https://example.com/", interval: 86_400, retry: 3600, down: 20 },
  "probes/backup": { type: "beat", interval: 86_400 },
  "actions/review": { space: "team" },
  "actions/transcribe": { argv: ["transcribe", "{file}"], parameters: { file: { type: "string" } }, space: "team-a" },
  "rules/more-workers": { probe: "queue", above: 10, start: { action: "review" } },
  "services/wiki": { argv: ["/bin/wiki"], space: "ops" },
};

test("what the examples name is declared, and comes into force", async () => {
  for (const [id, content] of Object.entries(DECLARED))
    expect((await ask(`/contexts/fleet/${id}`, { method: "PUT", ...json(content) })).status).toBe(201);
  await eventually("all are in force", async () => {
    const response = await ask("/operations/declaration_list", { method: "POST", ...json({}) });
    const { declarations } = (await response.json()) as { declarations: { in_force?: number }[] };
    return declarations.filter((each) => each.in_force === 1).length === Object.keys(DECLARED).length;
  });
});

test("each route answers as described: what works, and what is refused", async () => {
  const id = "/contexts/{id}";
  const stale = { "if-match": '"9-000000000000"' };
  const rows: [string, string, string, BunFetchRequestInit?, number?][] = [
    ["PUT", id, "/contexts/team/a?title=T&tag=x&tag=y", json({ n: 1 }), 201],
    ["PUT", id, "/contexts/team/a", json({ n: 2 }), 200],
    ["PUT", id, "/contexts/team/a", json({ n: 2 }, stale), 412],
    ["PUT", id, "/contexts/team/a", json("{"), 400],
    ["PUT", id, "/contexts/team/a", json("1", { "content-type": "image/png" }), 415],
    ["PUT", id, "/contexts/team/a", json(`"${"x".repeat(1024 * 1024)}"`), 413],
    ["PUT", id, "/contexts/team/k", json("1", { "idempotency-key": "k" }), 201],
    ["PUT", id, "/contexts/team/k", json("2", { "idempotency-key": "k" }), 422],
    ["PATCH", id, "/contexts/team/a", json({ n: 3 }, { "content-type": "application/merge-patch+json" }), 200],
    [
      "PATCH",
      id,
      "/contexts/team/a",
      json([{ op: "test", path: "/n", value: 0 }], { "content-type": "application/json-patch+json" }),
      409,
    ],
    ["PATCH", id, "/contexts/team/a", json({}), 415],
    ["PATCH", id, "/contexts/none", json({}, { "content-type": "application/merge-patch+json" }), 404],
    ["GET", id, "/contexts/team/a", {}, 200],
    ["GET", id, "/contexts/team/a?version=1", {}, 200],
    ["GET", id, "/contexts/team/a", { headers: { "if-none-match": "*" } }, 304],
    ["GET", id, "/contexts/none", {}, 404],
    ["GET", id, "/contexts/_x%00", {}, 400],
    ["GET", id, "/contexts/team/a", { headers: { "cairn-min-position": "0000000000-1" } }, 410],
    ["PUT", id, "/contexts/team/text", json("some text", { "content-type": "text/markdown" }), 201],
    ["GET", id, "/contexts/team/text", {}, 200],
    ["GET", "/contexts", "/contexts?prefix=team/&limit=1&fields=id,title", {}, 200],
    ["GET", "/contexts", "/contexts", {}, 200],
    ["GET", "/contexts", "/contexts?limit=0", {}, 400],
    ["GET", "/status", "/status", {}, 200],
    ["GET", `${id}/process`, "/contexts/team/text/process?task=summary&max_chars=100", {}, 200],
    ["GET", `${id}/process`, "/contexts/none/process", {}, 404],
    ["GET", `${id}/metadata`, "/contexts/team/a/metadata", {}, 200],
    ["GET", `${id}/metadata`, "/contexts/none/metadata", {}, 404],
    ["GET", `${id}/versions`, "/contexts/team/a/versions?limit=1", {}, 200],
    ["GET", `${id}/versions`, "/contexts/team/a/versions?cursor=x", {}, 400],
    ["GET", `${id}/versions/{version}`, "/contexts/team/a/versions/1", {}, 200],
    ["GET", `${id}/versions/{version}`, "/contexts/team/a/versions/1", { headers: { "if-none-match": "*" } }, 304],
    ["GET", `${id}/versions/{version}`, "/contexts/team/a/versions/99", {}, 404],
    ["GET", `${id}/diff`, "/contexts/team/a/diff?from=1", {}, 200],
    ["GET", `${id}/diff`, "/contexts/team/a/diff?from=1&to=2&format=text", {}, 200],
    ["GET", `${id}/diff`, "/contexts/team/text/diff?from=1&format=json-patch", {}, 415],
    ["GET", `${id}/diff`, "/contexts/team/a/diff", {}, 400],
    ["POST", `${id}/restore`, "/contexts/team/a/restore", json({ version: 1 }), 200],
    ["POST", `${id}/restore`, "/contexts/team/a/restore", json({ version: 1 }, stale), 412],
    ["POST", `${id}/restore`, "/contexts/team/a/restore", json({}), 400],
    ["DELETE", id, "/contexts/team/a", { headers: stale }, 412],
    ["DELETE", id, "/contexts/team/a", {}, 204],
    ["DELETE", id, "/contexts/team/a", {}, 404],
    ["GET", id, "/contexts/team/a", {}, 410],
    ["POST", `${id}/restore`, "/contexts/team/a/restore", json({ version: 1 }), 201],
    ["GET", `${id}/stream`, "/contexts/team/a/stream", {}, 200],
    ["GET", `${id}/stream`, "/contexts/team/a/stream?since=x", {}, 400],
    ["GET", "/changes", "/changes?feed=longpoll&timeout=0&prefix=team/&limit=5", {}, 200],
    ["GET", "/changes", "/changes?feed=sse", {}, 200],
    ["GET", "/changes", "/changes?since=0000000000-1", {}, 410],
    ["POST", "/events", "/events", json({ type: "t" }), 200],
    ["POST", "/events", "/events", json({}), 400],
    ["POST", "/events/batch", "/events/batch?space=team", json([{ type: "t" }]), 200],
    ["POST", "/api/v1/events", "/api/v1/events", json(tas), 200],
    ["POST", "/api/v1/events/batch", "/api/v1/events/batch", json([tas]), 200],
    ["GET", "/events", "/events?types=t&limit=1", {}, 200],
    ["GET", "/events/stats", "/events/stats?types=t&top=1&until_time=2100-01-01T00:00:00Z", {}, 200],
    ["GET", "/events/stats", "/events/stats?after=yesterday", {}, 400],
    ["GET", "/events/topology", "/events/topology?space=team", {}, 200],
    ["GET", "/events/{event}", "/events/7", {}, 400],
    ["GET", "/events/stream", "/events/stream?space=team", {}, 200],
    ["GET", "/events/stream", "/events/stream?since=7", {}, 400],
    ["GET", "/events/ws", "/events/ws", {}, 400],
    ["GET", TAS, "/api/v1/forwarding/targets?space=team", {}, 200],
    ["POST", TAS, "/api/v1/forwarding/targets?space=team", json(tasTarget), 201],
    ["POST", TAS, "/api/v1/forwarding/targets?space=team", json(tasTarget), 409],
    ["POST", TAS, "/api/v1/forwarding/targets", json({ ...tasTarget, type: "kafka" }), 400],
    ["GET", `${TAS}/{id}`, "/api/v1/forwarding/targets/tas?space=team", {}, 200],
    ["PUT", `${TAS}/{id}`, "/api/v1/forwarding/targets/tas?space=team", json(tasTarget), 200],
    ["POST", `${TAS}/{id}/test`, "/api/v1/forwarding/targets/none/test", {}, 404],
    ["POST", `${TAS}/{id}/test`, "/api/v1/forwarding/targets/tas/test", {}, 200],
    ["GET", "/api/v1/forwarding/metrics", "/api/v1/forwarding/metrics?space=team", {}, 200],
    ["DELETE", `${TAS}/{id}`, "/api/v1/forwarding/targets/tas?space=team", {}, 200],
    ["GET", `${TAS}/{id}`, "/api/v1/forwarding/targets/tas?space=team", {}, 404],
    ["GET", "/search", "/search?q=text&space=team&limit=5", {}, 200],
    ["GET", "/search", "/search?q=%2A", {}, 400],
    ["PUT", "/blobs/{sha256}", `/blobs/${TEST_HASH}?space=team`, { body: "test" }, 200],
    ["PUT", "/blobs/{sha256}", `/blobs/${TEST_HASH}?space=team-b`, { body: "another" }, 400],
    [
      "PUT",
      "/blobs/{sha256}",
      `/blobs/${TEST_HASH}?space=team-c`,
      { headers: { "content-range": "bytes 0-1/4" }, body: "te" },
      202,
    ],
    ["GET", "/blobs", "/blobs?space=team", {}, 200],
    ["GET", "/blobs/{sha256}", `/blobs/${TEST_HASH}?space=team`, {}, 200],
    ["GET", "/blobs/{sha256}", `/blobs/${TEST_HASH}?space=team`, { headers: { range: "bytes=1-2" } }, 206],
    ["GET", "/blobs/{sha256}", `/blobs/${TEST_HASH}?space=team`, { headers: { range: "bytes=9-" } }, 416],
    ["GET", "/blobs/{sha256}", `/blobs/${TEST_HASH}?space=team`, { headers: { "if-none-match": "*" } }, 304],
    ["GET", "/blobs/{sha256}", `/blobs/${TEST_HASH}?space=none`, {}, 404],
    ["DELETE", "/blobs/{sha256}", `/blobs/${TEST_HASH}?space=team`, {}, 200],
    ...FLEET_CALLS,
    ["PUT", "/leases/{name}", "/leases/team/leased", json({ ttl_seconds: 60, for: "work" }), 200],
    ["PUT", "/leases/{name}", "/leases/team/leased", json({ ttl_seconds: 60 }), 409],
    ["PUT", "/leases/{name}", "/leases/team/leased", json({ no_such: 1 }), 400],
    ["GET", "/leases", "/leases?prefix=team/&limit=1", {}, 200],
    ["GET", "/leases/{name}", "/leases/team/leased?timeout=0", {}, 200],
    ["POST", "/leases/{name}", "/leases/team/leased?fence=team/leased@1-1", {}, 409],
    ["DELETE", "/leases/{name}", "/leases/team/leased?fence=team/leased@1-1", {}, 200],
    ["PUT", id, "/contexts/team/a?fence=team/leased@1-1", json({ n: 2 }), 409],
    ["GET", "/health", "/health", {}, 200],
    ["GET", "/health", "/health?x=1", {}, 400],
    ["GET", "/ready", "/ready", {}, 200],
    ["GET", "/metrics", "/metrics", {}, 200],
    ["GET", "/openapi.json", "/openapi.json", {}, 200],
    ["GET", "/.well-known/cairn", "/.well-known/cairn", {}, 200],
  ];
  for (const [method, template, path, init, status] of rows) {
    expect([method, path, await check(method, template, path, init)]).toEqual([method, path, status ?? 0]);
  }
  const { oldest } = (await (await ask("/events")).json()) as { oldest: string };
  expect(await check("GET", "/events/{event}", `/events/${oldest.replace(/0$/, "1")}`)).toBe(200);
  expect(await upgraded("/events/ws")).toBe(101);
  await checkSessions("/sessions");
  await checkSessions("/conversations");
  const leased = await (await ask("/leases/team/renewed", { method: "PUT", ...json({}) })).json();
  const renewal = `/leases/team/renewed?${new URLSearchParams({ fence: (leased as { fence: string }).fence })}`;
  expect(await check("POST", "/leases/{name}", renewal)).toBe(200);
  await checkJobs();
});

async function checkJobs(): Promise<void> {
  const body = json({ action: "transcribe", space: "team-a", input: { file: "a.mp3" } });
  expect(await check("POST", "/jobs", "/jobs", body)).toBe(200);
  expect(await check("POST", "/jobs", "/jobs", json({ action: "transcribe", space: "team-a" }))).toBe(400);
  const { id } = (await (await ask("/jobs", { method: "POST", ...body })).json()) as { id: string };
  const rows: [string, string, string, number][] = [
    ["GET", "/jobs", "/jobs?space=team-a&state=queued&limit=1", 200],
    ["GET", "/jobs/{id}", `/jobs/${id}`, 200],
    ["GET", "/jobs/{id}", "/jobs/team-a/1-1", 404],
    ["GET", "/jobs/{id}/end", `/jobs/${id}/end?timeout=0`, 200],
    ["GET", "/jobs/{id}/output", `/jobs/${id}/output`, 200],
    ["DELETE", "/jobs/{id}", `/jobs/${id}`, 200],
    ["POST", "/jobs/{id}/redrive", `/jobs/${id}/redrive`, 200],
    ["POST", "/jobs/{id}/redrive", `/jobs/${id}/redrive`, 400],
  ];
  for (const [method, route, path, status] of rows)
    expect([path, await check(method, route, path, {})]).toEqual([path, status]);
}

/** The rows of sessions, whose ids are those of the session that the first row begins. */
async function checkSessions(base: string): Promise<void> {
  const made = (await (await ask(base, { method: "POST", ...json({ purpose: "Work" }) })).json()) as {
    session: string;
  };
  const at = `${base}/${made.session}`;
  const posted = await ask(`${at}/messages`, { method: "POST", ...json({ text: "Hello" }) });
  const { message } = (await posted.json()) as { message: string };
  const one = `${base}/{session}`;
  const [each, path] = [`${one}/messages/{message}`, `${at}/messages/${message}`];
  const shared: [string, string, string, BunFetchRequestInit?, number?][] = [
    ["POST", base, base, json({ purpose: "Work", space: "team", metadata: { build: 7 } }), 201],
    ["POST", base, base, json({}), 400],
    ["GET", base, `${base}?space=team&state=open&limit=1`],
    ["GET", one, at],
    ["GET", one, `${base}/session_0123456789abcdef`, {}, 404],
    ["POST", `${one}/messages`, `${at}/messages`, json({ text: "Hi", to: ["a"], parent: message, ack: true }), 201],
    ["POST", `${one}/messages`, `${at}/messages`, json({ no_such: 1 }), 400],
    ["GET", `${one}/messages`, `${at}/messages?thread=${message}&limit=1`],
  ];
  const own: typeof shared = [
    ["GET", each, path],
    ["PUT", each, path, json({ text: "Hello all", if_version: 1 })],
    ["PUT", each, path, json({ text: "Hello all", if_version: 1 }), 412],
    ["GET", each, `${path}?version=1`],
    ["GET", `${one}/participants`, `${at}/participants?limit=1`],
    ["POST", `${one}/join`, `${at}/join`],
    ["POST", `${one}/close`, `${at}/close`],
    ["POST", `${one}/messages`, `${at}/messages`, json({ text: "Late" }), 409],
    ["POST", `${one}/reopen`, `${at}/reopen`],
    ["DELETE", each, path],
    ["PUT", each, path, json({ text: "Again" }), 410],
    ["GET", `${one}/stream`, `${at}/stream`],
    ["GET", "/messages", "/messages?feed=longpoll&timeout=0"],
    ["GET", "/messages", "/messages?feed=sse"],
    ["GET", "/inbox", "/inbox?limit=1"],
  ];
  for (const [method, template, address, init = {}, status = 200] of base === "/sessions"
    ? [...shared, ...own]
    : shared)
    expect([method, address, await check(method, template, address, init)]).toEqual([method, address, status]);
}

test("one stream too many is 429 as described", async () => {
  const held = await ask("/changes?feed=sse");
  expect(await check("GET", "/changes", "/changes?feed=sse")).toBe(429);
  expect(
    await check("POST", "/operations/context_wait", "/operations/context_wait", json({ timeout_seconds: 0 })),
  ).toBe(429);
  await held.body?.cancel();
});

test("each operation answers as described, with every argument, with few, and with a wrong one", async () => {
  const registry = new Registry(OPERATIONS);
  const names = exampleCalls().map(({ name }) => name);
  const described = description.rows().flatMap(([, path]) => /^\/operations\/(.+)/.exec(path)?.[1] ?? []);
  expect(described.toSorted()).toEqual(names.filter((name) => !NOT_OFFERED.has(name)).sort());
  for (const name of names.filter((name) => described.includes(name))) {
    const path = `/operations/${name}`;
    const operation = registry.get(name)?.operation;
    const inputs = operation === undefined ? [] : sampleInputs(registry, operation, [IDS[name] ?? "team/sample"]);
    for (const input of [...inputs, { no_such_argument: 1 }]) await check("POST", path, path, json(input));
  }
});

/** An import takes up a history from its beginning. */
const IDS: Readonly<Record<string, string>> = { context_import: "team/imported" };

test("the example of each operation works, in the order of examples; what needs more than one node says so", async () => {
  // Ids that the node makes are those of the examples before.
  const made = { session: "team-a/session_0123456789abcdef", message: "m_0123456789ab" };
  const known = { ...made };
  for (const { name, example } of exampleCalls()) {
    if (NOT_OFFERED.has(name)) continue;
    const text = JSON.stringify(example)
      .replaceAll(made.session, known.session)
      .replaceAll(made.message, known.message);
    const response = await ask(`/operations/${name}`, { method: "POST", ...json(text) });
    const output = (await response.json()) as { code?: string; detail?: string; session?: string; message?: string };
    const { code = "ok", detail } = output;
    if (name === "session_create") known.session = output.session ?? "";
    if (name === "message_post") known.message = output.message ?? "";
    // What an operation answers may have a detail too.
    const reason = code === "ok" ? undefined : detail;
    expect([name, code, reason]).toEqual([name, OF_SEVERAL[name] ?? "ok", reason]);
    const row = `POST /operations/${name}`;
    seen.set(row, (seen.get(row) ?? new Set()).add(response.status));
  }
});

const NOT_THERE = ["job_get", "job_wait", "job_output", "job_cancel", "job_redrive", "fleet_drain", "fleet_undrain"];
/**
 * Examples that one node alone refuses, behind parsing and gate; test/system/fleet.test.ts has the fleets they need,
 * and test/unit/agents.test.ts the agents.
 */
const OF_SEVERAL: Readonly<Record<string, string>> = {
  // The call shows no handle.
  agent_status: "agent_unknown",
  refresh_token: "agent_unknown",
  // The example before has freed the name.
  agent_remove: "not_found",
  // A fleet of one cannot be left.
  fleet_leave: "unavailable",
  // There is no other voter.
  fleet_transfer: "unavailable",
  // The member of the example is in no fleet of a test.
  fleet_member_promote: "not_found",
  fleet_member_remove: "not_found",
  // Its source is another caller's.
  event_get: "not_found",
  // The node has no chat model.
  event_classify: "unavailable",
  // The log of events is the replicated one, and NATS is not set.
  event_store: "not_found",
  ...{ event_log_begin: "invalid_input", event_log_move: "invalid_input" },
  ...{ event_log_cancel: "invalid_input", event_log_lost: "invalid_input" },
  // No target of the examples is for callbacks.
  callback_grant: "not_found",
  callback_subscribe: "not_found",
  // The fence of the example is of another history.
  ...{ lease_renew: "lease_lost", job_heartbeat: "lease_lost", job_finish: "lease_lost" },
  ...Object.fromEntries(NOT_THERE.map((name) => [name, "not_found"])),
  service_open: "invalid_input",
};

/** Needs a bucket, which test/system/backups.test.ts has; test/unit/examples.test.ts parses the example. */
const NOT_OFFERED: ReadonlySet<string> = new Set(["backup_fetch"]);

test("every reference leads somewhere, and every row has a name of its own", () => {
  expect(description.brokenReferences()).toEqual([]);
  const names = [...JSON.stringify(description.document).matchAll(/"operationId":"(\w+)"/g)].map((found) => found[1]);
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBe(description.rows().length);
});

test("every row was asked and worked once", () => {
  for (const [method, path] of description.rows()) {
    const statuses = [...(seen.get(`${method} ${path}`) ?? [])];
    const wanted = Object.hasOwn(OF_SEVERAL, path.slice("/operations/".length)) ? 500 : 400;
    expect([method, path, statuses.some((status) => status < wanted)]).toEqual([method, path, true]);
  }
});

test("every row of the table of routes is described, and was answered with each success that it declares", () => {
  const described = description.rows().map(([method, path]) => `${method} ${path}`);
  for (const row of routesOf(FEATURES)) {
    if ("perOperation" in row) continue;
    const name = `${row.method} ${row.path}`;
    expect(described).toContain(name);
    const declared = Object.keys(describeRow(row)["responses"] as object).map(Number);
    const missing = declared.filter((status) => status < 400 && seen.get(name)?.has(status) !== true);
    expect([name, missing]).toEqual([name, []]);
  }
});

test("every described parameter of a query is known, another one is refused, and no method is left out", async () => {
  for (const [method, path] of description.rows()) {
    const real = path
      .replace(`${TAS}/{id}`, `${TAS}/a`)
      .replace(/\{(?:id|name)\}/, "team/a")
      .replace("{version}", "1")
      .replace("{session}", "team/session_0123456789abcdef")
      .replace("{message}", "m_0123456789ab");
    const wrong = await ask(`${real}?no_such_parameter=1`, { method });
    expect([method, path, wrong.status, await wrong.text()]).toEqual([
      method,
      path,
      expect.any(Number),
      expect.stringMatching(/no_such_parameter|Content-Type|content type|body/),
    ]);
    for (const name of description.parameters(method, path, "query")) {
      const atOnce = ["/changes", "/messages"].includes(path) && name !== "timeout" ? "&timeout=0" : "";
      const response = await ask(`${real}?${name}=%20${atOnce}`, { method });
      const isStream = response.headers.get("content-type") === "text/event-stream";
      if (isStream) await response.body?.cancel();
      const text = isStream ? "" : await response.text();
      expect([path, name, text]).toEqual([path, name, expect.not.stringContaining("There is no query parameter")]);
    }
    const allow = (await ask(real, { method: "OPTIONS" })).headers.get("allow")?.split(", ") ?? [];
    const rows = description.rows().filter(([, other]) => other === path);
    const described = rows.map(([other]) => other);
    const all = [...described, "OPTIONS", ...(described.includes("GET") ? ["HEAD"] : [])];
    expect([path, allow.sort()]).toEqual([path, all.sort()]);
  }
});
