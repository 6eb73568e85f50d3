// The MCP endpoint below the clients: what it refuses before the protocol, whose a session is, what is bounded, what a
// lost connection means.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { z } from "zod";
import { contextDelete, contextGet, contextList, contextPut } from "../../src/features/context/index.ts";
import { act } from "../../src/operation/define.ts";
import { whoami } from "../../src/operation/whoami.ts";
import { type Core, callerWith, startCore } from "../kit/core.ts";
import { until } from "../kit/mcp-client.ts";
import { type McpServer, member, startMcpServer } from "../kit/mcp-server.ts";

const started: string[] = [];
const aborted: string[] = [];
/** Runs until it is cancelled, and says so. */
const hang = act({
  name: "hang",
  title: "Hang",
  description: "Runs until it is cancelled.",
  input: z.object({ name: z.string() }),
  output: z.object({}),
  access: { verb: "read", spaces: "visible" },
  run: (input, { signal }) => {
    started.push(input.name);
    return new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => {
        aborted.push(input.name);
        reject(signal.reason);
      });
    });
  },
});

const JSON_TYPES = { "content-type": "application/json", accept: "application/json, text/event-stream" };
const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};

let core: Core;
let server: McpServer;

beforeAll(() => {
  core = startCore({ operations: [contextPut, contextDelete, contextGet, contextList, whoami, hang] });
  server = startMcpServer(core, {
    callers: {
      bob: callerWith({ id: "nBOB", login: "bob@x", own: true }),
      // The same device, seen as another user.
      takenOver: { ...member, login: "mallory@x" },
      team: callerWith({ id: "nTEAM", login: "t@x", grants: [{ role: "member", spaces: ["team"] }] }),
    },
  });
});

afterAll(async () => {
  await server.stop();
  await core[Symbol.asyncDispose]();
});

const post = (body: unknown, headers: Record<string, string> = {}, signal?: AbortSignal) =>
  fetch(server.url, {
    method: "POST",
    headers: { ...JSON_TYPES, ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });

const modern = (
  method: string,
  params: Record<string, unknown> = {},
  headers: Record<string, string> = {},
  signal?: AbortSignal,
) =>
  post(
    { jsonrpc: "2.0", id: 1, method, params: { ...params, _meta: META } },
    {
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": method,
      ...(typeof params["name"] === "string" ? { "mcp-name": params["name"] } : {}),
      ...headers,
    },
    signal,
  );

const INITIALIZE = {
  jsonrpc: "2.0",
  id: 0,
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "raw", version: "0" } },
};

async function openSession(as = "default"): Promise<Record<string, string>> {
  const response = await post(INITIALIZE, { "x-test-caller": as });
  await response.text();
  const id = response.headers.get("mcp-session-id");
  if (id === null) throw new Error(`no session: ${response.status}`);
  const headers = { "mcp-session-id": id, "mcp-protocol-version": "2025-11-25", "x-test-caller": as };
  await post({ jsonrpc: "2.0", method: "notifications/initialized" }, headers);
  return headers;
}

const stream = (headers: Record<string, string>, signal: AbortSignal) =>
  fetch(server.url, { headers: { ...headers, accept: "text/event-stream" }, signal });

/** Collects the JSON of each event with its id. */
function collect(response: Response): { id: string | undefined; message: Record<string, unknown> }[] {
  const events: { id: string | undefined; message: Record<string, unknown> }[] = [];
  const body = response.body;
  if (body === null) return events;
  (async () => {
    let text = "";
    for await (const chunk of body) {
      text += new TextDecoder().decode(chunk);
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const data = /^data: (.+)$/m.exec(block)?.[1];
        if (data !== undefined) events.push({ id: /^id: (.+)$/m.exec(block)?.[1], message: JSON.parse(data) });
      }
    }
  })().catch(() => {});
  return events;
}

describe("what is refused in front of the protocol", () => {
  test.each([
    ["text/plain", 415],
    ["text/plain; a=application/json", 415],
    ["application/x-www-form-urlencoded", 415],
    ["application/jsonx", 415],
    ["", 415],
    ["application/json; charset=utf-8", 200],
    ["Application/JSON", 200],
  ])("content type %p is %i", async (type, status) => {
    const response = await post(INITIALIZE, { "content-type": type });
    expect(response.status).toBe(status);
  });

  test.each([
    ["", "not JSON"],
    ["{", "not JSON"],
    ['{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}', "twice"],
    ['{"a":"\\ud800"}', "surrogate"],
    [`${"[".repeat(70)}${"]".repeat(70)}`, "deeper"],
  ])("the body %p", async (body, word) => {
    const response = await post(body);
    expect(response.status).toBe(400);
    const answer = (await response.json()) as { error: { code: number; message: string } };
    expect(answer.error.code).toBe(-32700);
    expect(answer.error.message).toContain(word);
  });

  test("a body over the bound is 413, declared or not", async () => {
    const large = `{"a":"${"x".repeat(11 * 1024 * 1024)}"}`;
    expect((await post(large)).status).toBe(413);
    const chunked = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(large));
        controller.close();
      },
    });
    const response = await fetch(server.url, { method: "POST", headers: JSON_TYPES, body: chunked });
    expect(response.status).toBe(413);
  });

  test("methods without a session", async () => {
    expect((await fetch(server.url, { headers: { accept: "text/event-stream" } })).status).toBe(400);
    expect((await fetch(server.url, { method: "DELETE" })).status).toBe(400);
    for (const method of ["PUT", "PATCH", "HEAD", "OPTIONS"]) {
      const refused = await fetch(server.url, { method });
      expect([method, refused.status, refused.headers.get("allow")]).toEqual([method, 405, "POST, GET, DELETE"]);
    }
    expect((await post({ jsonrpc: "2.0", id: 1, method: "tools/list" })).status).toBe(400);
  });
});

describe("sessions", () => {
  test("belong to the caller who opened them; to others they do not exist", async () => {
    const headers = await openSession();
    const call = { jsonrpc: "2.0", id: 5, method: "tools/list" };
    expect((await post(call, headers)).status).toBe(200);
    for (const thief of ["bob", "takenOver", "team"]) {
      const stolen = { ...headers, "x-test-caller": thief };
      const unknown = { ...stolen, "mcp-session-id": crypto.randomUUID() };
      const answers = await Promise.all([post(call, stolen), post(call, unknown)]);
      expect(answers.map((answer) => answer.status)).toEqual([404, 404]);
      const [one, other] = await Promise.all(answers.map((answer) => answer.text()));
      expect(one).toBe(other ?? "");
      expect((await stream(stolen, AbortSignal.timeout(1000))).status).toBe(404);
      expect((await fetch(server.url, { method: "DELETE", headers: stolen })).status).toBe(404);
    }
    expect((await post(call, headers)).status).toBe(200);
  });

  test("end by DELETE, and by changed rights of their caller alone", async () => {
    const mine = await openSession();
    const bobs = await openSession("bob");
    const call = { jsonrpc: "2.0", id: 5, method: "ping" };
    server.mcp.callersChanged(["nBOB"]);
    expect((await post(call, bobs)).status).toBe(404);
    expect((await post(call, mine)).status).toBe(200);
    expect((await fetch(server.url, { method: "DELETE", headers: mine })).status).toBe(200);
    expect((await post(call, mine)).status).toBe(404);
  });

  test("a caller over its share loses its own oldest session, no one else's", async () => {
    const bobs = await openSession("bob");
    const first = await openSession("team");
    const call = { jsonrpc: "2.0", id: 5, method: "ping" };
    for (let i = 0; i < 64; i++) await openSession("team");
    expect((await post(call, first)).status).toBe(404);
    expect((await post(call, bobs)).status).toBe(200);
  });

  test("a stream that broke is resumed with Last-Event-ID: what was missed comes once", async () => {
    const headers = await openSession();
    for (const name of ["a", "b"]) {
      const uri = `cairn:///team/resume-${name}`;
      await (await post({ jsonrpc: "2.0", id: 7, method: "resources/subscribe", params: { uri } }, headers)).text();
    }
    const first = new AbortController();
    const seen = collect(await stream(headers, first.signal));
    await core.call("context_put", { id: "team/resume-a", content: 1 });
    const updates = (events: typeof seen) =>
      events.filter((event) => event.message["method"] === "notifications/resources/updated");
    await until(
      () => updates(seen).length === 1,
      () => seen,
    );
    first.abort();
    // The server learns of the loss a moment later; what changes meanwhile waits in the subscriber.
    await core.call("context_put", { id: "team/resume-b", content: 1 });
    const lastSeen = seen.at(-1)?.id ?? "";
    let again: Response;
    const second = new AbortController();
    do again = await stream({ ...headers, "last-event-id": lastSeen }, second.signal);
    while (again.status === 409);
    const resumed = collect(again);
    await until(
      () => updates(resumed).length >= 1,
      () => resumed,
    );
    await Bun.sleep(50);
    expect(updates(resumed).map((event) => event.message["params"])).toEqual([{ uri: "cairn:///team/resume-b" }]);
    second.abort();
  });
});

describe("cancellation", () => {
  test("a modern client that disconnects cancels its call", async () => {
    const client = new AbortController();
    const call = modern("tools/call", { name: "hang", arguments: { name: "modern" } }, {}, client.signal).catch(
      () => undefined,
    );
    await until(
      () => started.includes("modern"),
      () => started,
    );
    client.abort();
    await until(
      () => aborted.includes("modern"),
      () => aborted,
    );
    await call;
  });

  test("an older client that disconnects does not; notifications/cancelled does", async () => {
    const headers = await openSession();
    const client = new AbortController();
    const body = {
      jsonrpc: "2.0",
      id: 77,
      method: "tools/call",
      params: { name: "hang", arguments: { name: "legacy" } },
    };
    const response = await post(body, headers, client.signal);
    await until(
      () => started.includes("legacy"),
      () => started,
    );
    client.abort();
    await response.text().catch(() => "");
    await Bun.sleep(50);
    expect(aborted).not.toContain("legacy");
    await post({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 77 } }, headers);
    await until(
      () => aborted.includes("legacy"),
      () => aborted,
    );
  });
});

describe("subscriptions/listen", () => {
  const listen = (uris: string[], as: string, signal: AbortSignal) =>
    modern(
      "subscriptions/listen",
      { notifications: { resourceSubscriptions: uris, resourcesListChanged: true } },
      { "x-test-caller": as },
      signal,
    );

  test("acknowledges only what the caller may read", async () => {
    const client = new AbortController();
    const events = collect(await listen(["cairn:///team/x", "cairn:///secret/x", "file:///x"], "team", client.signal));
    await until(
      () => events.length > 0,
      () => events,
    );
    expect(events[0]?.message).toMatchObject({
      method: "notifications/subscriptions/acknowledged",
      params: { notifications: { resourceSubscriptions: ["cairn:///team/x"], resourcesListChanged: true } },
    });
    client.abort();
  });

  test("is bounded for each caller and each stream, and a stream that ends frees its place", async () => {
    const tooMany = Array.from({ length: 257 }, (_, i) => `cairn:///team/${i}`);
    const wide = (await (await listen(tooMany, "bob", AbortSignal.timeout(2000))).json()) as {
      error: { code: number };
    };
    expect(wide.error.code).toBe(-32602);
    // As many as the test core allows a caller, over all surfaces.
    const clients = Array.from({ length: 64 }, () => new AbortController());
    // Kept, for a response that nobody holds is closed by the collector.
    const held: Response[] = [];
    for (const client of clients) held.push(await listen(["cairn:///team/x"], "bob", client.signal));
    for (const response of held) expect(response.headers.get("content-type")).toContain("event-stream");
    const refused = (await (await listen(["cairn:///team/x"], "bob", AbortSignal.timeout(2000))).json()) as {
      error: { code: number };
    };
    expect(refused.error.code).toBe(429);
    const other = new AbortController();
    expect((await listen(["cairn:///team/x"], "team", other.signal)).headers.get("content-type")).toContain(
      "event-stream",
    );
    expect(held.length).toBe(64);
    for (const client of clients) client.abort();
    other.abort();
    const deadline = performance.now() + 3000;
    for (;;) {
      const again = new AbortController();
      const response = await listen(["cairn:///team/x"], "bob", again.signal);
      const type = response.headers.get("content-type") ?? "";
      again.abort();
      if (type.includes("event-stream")) break;
      if (performance.now() > deadline) throw new Error("ended streams still hold their places");
    }
  });

  test("changed rights end the stream in the way that tells the client to listen again", async () => {
    const events = collect(await listen(["cairn:///team/x"], "team", AbortSignal.timeout(5000)));
    await until(
      () => events.length > 0,
      () => events,
    );
    server.mcp.callersChanged(["nTEAM"]);
    await until(
      () => events.some((event) => "result" in event.message),
      () => events,
    );
    expect(events.at(-1)?.message).toMatchObject({ id: 1, result: { resultType: "complete" } });
  });
});

test("a node that stops lets running calls finish, ends streams, and refuses new requests", async () => {
  const letGo = Promise.withResolvers<void>();
  const slow = act({
    name: "slow",
    title: "Slow",
    description: "Waits to be let go.",
    input: z.object({}),
    output: z.object({ done: z.boolean() }),
    access: { verb: "read", spaces: "visible" },
    run: async () => {
      started.push("slow");
      await letGo.promise;
      return { done: true };
    },
  });
  await using own = startCore({ operations: [contextPut, contextGet, contextList, slow] });
  await using stopping = startMcpServer(own);
  const call = { name: "slow", arguments: {}, _meta: META };
  const headers = { ...JSON_TYPES, "mcp-protocol-version": "2026-07-28" };
  const ask = (method: string, params: Record<string, unknown>, name?: string) =>
    fetch(stopping.url, {
      method: "POST",
      headers: { ...headers, "mcp-method": method, ...(name === undefined ? {} : { "mcp-name": name }) },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
  const listening = collect(
    await ask("subscriptions/listen", { notifications: { resourcesListChanged: true }, _meta: META }),
  );
  const running = ask("tools/call", call, "slow");
  await until(
    () => started.includes("slow") && listening.length > 0,
    () => [started, listening],
  );
  const closing = stopping.mcp.close();
  await until(
    () => listening.length === 2,
    () => listening,
  );
  expect((await ask("tools/call", call, "slow")).status).toBe(503);
  letGo.resolve();
  const answer = (await (await running).json()) as { result: { structuredContent: { done: boolean } } };
  expect(answer.result.structuredContent.done).toBe(true);
  await closing;
});
