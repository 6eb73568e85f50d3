// Requests to /mcp as clients really send them: what they accept, arguments that are null or text, `initialize` with an
// old session or without its parts. Each is taken, or refused in words that help.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Core, startCore } from "../kit/core.ts";
import { META } from "../kit/fleet-bridge.ts";
import { type McpServer, startMcpServer } from "../kit/mcp-server.ts";

type Json = Record<string, unknown>;

const PARTS = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "raw", version: "0" } };

let core: Core;
let server: McpServer;

beforeAll(async () => {
  core = startCore();
  server = startMcpServer(core);
  await core.call("context_put", { id: "team/x", content: "text" });
});

afterAll(async () => {
  await server.stop();
  await core[Symbol.asyncDispose]();
});

interface Answer {
  status: number;
  type: string;
  session: string | null;
  value: { result?: Json & { structuredContent?: Json; isError?: boolean }; error?: { code: number; message: string } };
}

/** Sends one message. `accept` undefined: without the header (fetch would add one of its own). */
async function send(body: Json, headers: Record<string, string>, accept: string | undefined): Promise<Answer> {
  const text = JSON.stringify({ jsonrpc: "2.0", id: 1, ...body });
  const lines = Object.entries({
    host: new URL(server.url).host,
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(text)),
    connection: "close",
    ...headers,
    ...(accept === undefined ? {} : { accept }),
  }).map(([name, value]) => `${name}: ${value}`);
  const { hostname, port } = new URL(server.url);
  const done = Promise.withResolvers<string>();
  let read = "";
  await Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      open: (socket) => void socket.write(`POST /mcp HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n${text}`),
      data: (socket, chunk) => {
        read += chunk.toString();
        // A stream is over for the client with the answer in it.
        if (/"(result|error)":/.test(read) && /\}\s*$/.test(read)) setTimeout(() => socket.end(), 20);
      },
      close: () => done.resolve(read),
    },
  });
  const [head = "", ...rest] = (await done.promise).split("\r\n\r\n");
  const found = /\{.*\}/s.exec(rest.join("\r\n\r\n").replace(/^: .*$|^(event|id|retry):.*$|^data: ?$/gm, ""))?.[0];
  return {
    status: Number(head.split(" ")[1]),
    type: /^content-type: (.*)$/im.exec(head)?.[1] ?? "",
    session: /^mcp-session-id: (.*)$/im.exec(head)?.[1]?.trim() ?? null,
    value: JSON.parse(found ?? "{}"),
  };
}

const modern = (method: string, params: Json, accept: string | undefined) =>
  send(
    { method, params: { ...params, _meta: META } },
    {
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": method,
      ...(typeof params["name"] === "string" ? { "mcp-name": params["name"] } : {}),
    },
    accept,
  );

async function openSession(accept?: string): Promise<Record<string, string>> {
  const { session, status, value } = await send({ method: "initialize", params: PARTS }, {}, accept);
  expect([status, value.error]).toEqual([200, undefined]);
  return { "mcp-session-id": session ?? "", "mcp-protocol-version": "2025-11-25" };
}

describe.each([undefined, "*/*", "application/json", "application/*;q=0.5"])("Accept: %p", (accept) => {
  test("is enough for every kind of call, and gets JSON", async () => {
    const headers = await openSession(accept);
    const calls: [string, Json][] = [
      ["tools/list", {}],
      ["tools/call", { name: "context_get", arguments: { id: "team/x" } }],
      ["tools/call", { name: "context_wait", arguments: { timeout_seconds: 0 } }],
      ["resources/list", {}],
    ];
    for (const [method, params] of calls) {
      for (const answer of [await send({ method, params }, headers, accept), await modern(method, params, accept)]) {
        expect([method, answer.status, answer.type]).toEqual([
          method,
          200,
          expect.stringMatching(/^application\/json/),
        ]);
        expect([method, answer.value.error, answer.value.result?.isError]).toEqual([method, undefined, undefined]);
      }
    }
  });
});

test("who takes no JSON is refused, and who takes both gets a short answer as JSON", async () => {
  const headers = await openSession();
  expect((await send({ method: "tools/list" }, headers, "text/event-stream")).status).toBe(406);
  expect((await send({ method: "tools/list" }, headers, "text/html")).status).toBe(406);
  const both = await send({ method: "tools/list" }, headers, "application/json, text/event-stream");
  expect([both.status, both.type]).toEqual([200, "application/json"]);
});

test("a listen that accepts anything gets its stream", async () => {
  const stop = new AbortController();
  const params = { notifications: { resourcesListChanged: true }, _meta: META };
  const opened = await fetch(server.url, {
    method: "POST",
    headers: {
      accept: "*/*",
      "content-type": "application/json",
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": "subscriptions/listen",
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "subscriptions/listen", params }),
    signal: stop.signal,
  });
  expect([opened.status, opened.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
  stop.abort();
});

test("a GET that accepts anything opens the stream", async () => {
  const headers = await openSession();
  const stop = new AbortController();
  const opened = await fetch(server.url, { headers: { ...headers, accept: "*/*" }, signal: stop.signal });
  expect([opened.status, opened.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
  stop.abort();
});

describe.each(["older", "modern"])("%s", (era) => {
  const ask = async (method: string, params: Json, more: Json = {}) => {
    const accept = "application/json, text/event-stream";
    if (era === "modern") return modern(method, { ...params, ...more }, accept);
    return send({ method, params: { ...params, ...more } }, await openSession(), accept);
  };

  test.each<[string, unknown]>([
    ["context_list", null],
    ["context_list", ""],
    ["context_list", "{}"],
    ["context_get", '{"id":"team/x"}'],
    ["context_get", { id: "team/x", version: null }],
    ["context_wait", '{"timeout_seconds":"0"}'],
  ])("%s takes the arguments %p", async (name, given) => {
    const { status, value } = await ask("tools/call", { name, arguments: given });
    expect([status, value.error, value.result?.isError]).toEqual([200, undefined, undefined]);
    expect(value.result?.structuredContent).toBeDefined();
  });

  test("null for a cursor, for arguments of a prompt and for one of them is none", async () => {
    expect((await ask("tools/list", { cursor: null })).value.result?.["tools"]).toBeArray();
    expect((await ask("prompts/get", { name: "prime", arguments: null })).value.result?.["messages"]).toBeArray();
    const handoff = { name: "handoff", arguments: { topic: 7, space: null } };
    const text = JSON.stringify((await ask("prompts/get", handoff)).value.result?.["messages"]);
    expect(text).toContain("handoff/7");
  });

  test.each<[string, unknown, string]>([
    ["context_get", "team/x", '"team/x"'],
    ["context_get", ["team/x", 1], '["team/x",1]'],
    ["context_get", "[1]", '"[1]"'],
    ["context_get", 7, "7"],
    ["context_wait", ["team/x"], '["team/x"]'],
    ["whoami", true, "true"],
  ])("%s with the arguments %j is refused with what came and what is wanted", async (name, given, shown) => {
    const { value } = await ask("tools/call", { name, arguments: given });
    const example = JSON.stringify(core.invoker.registry.get(name)?.operation.example ?? {});
    const [first] = (value.result?.["content"] ?? []) as { text: string }[];
    expect(value.result?.isError).toBe(true);
    expect(first?.text).toStartWith(
      `The arguments of ${name} are ${shown}, not an object. Send a JSON object, such as ${example}.`,
    );
  });

  test.each<[string, unknown, string]>([
    [
      "handoff",
      ["a"],
      'The arguments of handoff are ["a"], not an object. Send an object of texts, such as {"topic":"…"}.',
    ],
    ["handoff", "release", 'The arguments of handoff are "release", not an object.'],
    ["handoff", { "io.cairn/arguments": "no JSON" }, 'handoff has no argument "io.cairn/arguments"'],
    ["handoff", { topic: ["a"] }, 'handoff: topic is ["a"], not text. Send an object of texts, such as {"topic":"…"}.'],
  ])("the prompt %s with %j is refused with what came and what is wanted", async (name, given, words) => {
    const { value } = await ask("prompts/get", { name, arguments: given });
    expect(value.error?.code).toBe(-32602);
    expect(value.error?.message).toContain(words);
  });
});

describe.each(["older", "modern"])("params of another shape, %s", (era) => {
  test.each<[string, unknown, string]>([
    ["tools/call", { arguments: {} }, "params.name is missing"],
    ["tools/call", { name: 7 }, "params.name is 7, not text"],
    ["tools/call", ["whoami"], 'params is ["whoami"], not an object'],
    ["tools/call", "whoami", 'params is "whoami", not an object'],
    ["prompts/get", {}, "params.name is missing"],
    ["resources/read", { uri: ["x"] }, 'params.uri is ["x"], not text'],
    ["completion/complete", {}, "params.ref.type is missing"],
    ["tools/list", { cursor: 7 }, "params.cursor is 7, not text"],
    ["resources/list", { cursor: [] }, "params.cursor is [], not text"],
  ])("%s with %j is refused in words, with an example", async (method, params, words) => {
    const isPlain = typeof params === "object" && !Array.isArray(params);
    const answer =
      era === "older"
        ? await send({ method, params }, await openSession(), undefined)
        : await send(
            { method, params: isPlain ? { ...params, _meta: META } : params },
            { "mcp-protocol-version": "2026-07-28", "mcp-method": method },
            undefined,
          );
    expect(answer.value.error?.code).toBe(-32602);
    expect(answer.value.error?.message).toStartWith(`${method}: ${words}. For example: {"params":{`);
  });
});

test.each(["resources/subscribe", "resources/unsubscribe"])(
  "%s is refused in words by older revisions, and is unknown to the newest, whatever its params",
  async (method) => {
    const older = await send({ method, params: {} }, await openSession(), undefined);
    expect(older.value.error?.message).toStartWith(`${method}: params.uri is missing. For example: {"params":{"uri":`);
    const headers = { "mcp-protocol-version": "2026-07-28", "mcp-method": method };
    const { status, value } = await send({ method, params: { _meta: META } }, headers, undefined);
    expect([status, value.error?.code]).toEqual([404, -32601]);
  },
);

test("params that are null are none", async () => {
  const headers = await openSession();
  expect((await send({ method: "tools/list", params: null }, headers, undefined)).value.result?.["tools"]).toBeArray();
});

test("initialize with a session that is over opens a new one; other requests say how to", async () => {
  const stale = { "mcp-session-id": crypto.randomUUID(), "mcp-protocol-version": "2025-11-25" };
  const opened = await send({ method: "initialize", params: PARTS }, stale, undefined);
  expect([opened.status, opened.value.error]).toEqual([200, undefined]);
  expect(opened.session).not.toBe(stale["mcp-session-id"]);
  const lost = await send({ method: "tools/list" }, stale, undefined);
  expect(lost.status).toBe(404);
  expect(lost.value.error?.message).toContain("send initialize without Mcp-Session-Id");
});

test.each<[Json | null, string]>([
  [{ protocolVersion: "2025-11-25", clientInfo: PARTS.clientInfo }, "lacks params.capabilities."],
  [{ protocolVersion: "2025-11-25", capabilities: {} }, "lacks params.clientInfo."],
  [{}, "lacks params.protocolVersion, params.capabilities, params.clientInfo."],
  [null, "lacks params.protocolVersion, params.capabilities, params.clientInfo."],
  [{ ...PARTS, clientInfo: "raw" }, "is not as the protocol has it."],
])("initialize with %j gets what it lacks, with an example", async (params, words) => {
  for (const headers of [{}, { "mcp-session-id": "none" }]) {
    const { status, value } = await send({ method: "initialize", params }, headers, undefined);
    expect([status, value.error?.code]).toEqual([400, -32602]);
    expect(value.error?.message).toStartWith(`initialize ${words}`);
    expect(value.error?.message).toContain('"clientInfo":{"name":"my-client","version":"1.0"}');
  }
});
