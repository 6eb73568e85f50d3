// The short way of plain tool calls answers what the SDK's way answers, in every revision: each call is made by both,
// and what differs is shown.

import { afterAll, beforeAll, describe, expect, spyOn, test } from "bun:test";
import { SUPPORTED_PROTOCOL_VERSIONS } from "@modelcontextprotocol/server";
import { QuickCalls } from "../../src/mcp/quick.ts";
import { type Core, callerWith, startCore } from "../kit/core.ts";
import { type McpServer, startMcpServer } from "../kit/mcp-server.ts";

type Json = Record<string, unknown>;

const MODERN = "2026-07-28";
const ENVELOPE = {
  "io.modelcontextprotocol/protocolVersion": MODERN,
  "io.modelcontextprotocol/clientInfo": { name: "t", version: "0" },
  "io.modelcontextprotocol/clientCapabilities": {},
};

let core: Core;
let server: McpServer;

beforeAll(async () => {
  core = startCore();
  server = startMcpServer(core, {
    callers: { team: callerWith({ id: "nT", login: "t@x", grants: [{ role: "member", spaces: ["team"] }] }) },
  });
  await core.call("context_put", { id: "team/json", content: { a: ["<b>", "\u2028", '"', "\\"], n: 1e21 } });
  await core.call("context_put", { id: "team/proto", content: JSON.parse('{"__proto__":1,"toJSON":"x"}') });
  const exact = '{"n":12345678901234567891,"m":[1e400]}';
  for (const content of ["{}", exact])
    await core.call("context_put", { id: "team/exact", content, content_type: "application/json" });
  await core.call("context_put", { id: "team/text", content: "täxt \u0007 😀" });
  await core.call("context_put", { id: "team/gone", content: 1 });
  await core.call("context_delete", { id: "team/gone" });
});

afterAll(async () => {
  await server.stop();
  await core[Symbol.asyncDispose]();
});

const CALLS: [string, unknown][] = [
  ["context_get", { id: "team/json" }],
  ["context_get", { id: "team/proto" }],
  ["context_get", { id: "team/text" }],
  ["context_get", { id: "team/exact" }],
  ["context_diff", { id: "team/exact", from: 1 }],
  ["context_get", { key: "team/text", format: "text" }],
  ["context_get", { id: "team/gone" }],
  ["context_get", { id: "team/none" }],
  ["context_get", { id: "secret/x" }],
  ["context_get", {}],
  ["context_get", { id: 7, nonsense: "\ud83d\ude00" }],
  ["context_list", { limit: 1 }],
  ["context_list", undefined],
  ["context_put", { id: "team/json", content: 1, if_match: '"9-000000000000"' }],
  ["whoami", {}],
  ["prime", { format: "text" }],
  ["no_such_tool", {}],
  ["audit_query", {}],
  ["toString", {}],
];

interface Answer {
  status: number;
  type: string;
  body: Json;
}

async function post(body: Json, headers: Record<string, string>): Promise<Answer> {
  const response = await fetch(server.url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "x-test-caller": "team",
      ...headers,
    },
    body: JSON.stringify(body),
  });
  const type = response.headers.get("content-type") ?? "";
  const text = await response.text();
  const data = type.startsWith("text/event-stream") ? (/^data: (\{[^\n]+)$/m.exec(text)?.[1] ?? "null") : text;
  return { status: response.status, type, body: data === "" ? {} : JSON.parse(data) };
}

function modern(name: string, input: unknown, id: string | number, meta: Json): Promise<Answer> {
  const params = { name, ...(input === undefined ? {} : { arguments: input }), _meta: { ...ENVELOPE, ...meta } };
  return post(
    { jsonrpc: "2.0", id, method: "tools/call", params },
    { "mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": name },
  );
}

test("modern: the same answer both ways", async () => {
  await modern("whoami", {}, 0, {});
  for (const [index, [name, input]] of CALLS.entries()) {
    const id = index % 2 === 0 ? index : `id "${index}"`;
    const quick = await modern(name, input, id, { progressToken: `t${index}` });
    // An envelope that was never seen goes the SDK's way.
    const slow = await modern(name, input, id, { traceparent: `00-${index}` });
    expect([name, input, quick]).toEqual([name, input, slow]);
    expect(Object.keys(quick.body)).toEqual(Object.keys(slow.body));
  }
});

test("every way takes a number as it is written", async () => {
  for (const [at, meta] of [{}, { traceparent: "00-taken" }].entries()) {
    const big = "[12345678901234567891,1e400,1.0]";
    const params = {
      name: "context_put",
      arguments: { id: `team/taken${at}`, content: "BIG" },
      _meta: { ...ENVELOPE, ...meta },
    };
    const response = await fetch(server.url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        "x-test-caller": "team",
        "mcp-protocol-version": MODERN,
        "mcp-method": "tools/call",
        "mcp-name": "context_put",
      },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params }).replace('"BIG"', big),
    });
    expect(await response.json()).toMatchObject({ result: { structuredContent: { version: 1 } } });
    expect(await core.call("context_get", { id: `team/taken${at}`, format: "text" })).toMatchObject({
      content: "[12345678901234567891,1e400,1]",
    });
  }
});

test("every way gives a number as it is written", async () => {
  for (const meta of [{}, { traceparent: "00-exact" }]) {
    const { body } = await modern("context_get", { id: "team/exact" }, 1, meta);
    const [{ text }] = (body["result"] as { content: [{ text: string }] }).content;
    expect(text).toContain('"content":{"n":12345678901234567891,"m":[1e400]}');
  }
});

test("modern: an envelope is taken the short way only once the SDK has accepted it, with headers that say the same", async () => {
  const call = (meta: Json, headers: Record<string, string> = {}) =>
    post(
      { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "whoami", arguments: {}, _meta: meta } },
      { "mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": "whoami", ...headers },
    );
  const bad: Json = { ...ENVELOPE, "io.modelcontextprotocol/clientCapabilities": 7 };
  for (let round = 0; round < 3; round++) {
    expect((await call(bad)).body).toMatchObject({ error: { code: -32602 } });
    expect((await call({ ...ENVELOPE, "io.modelcontextprotocol/clientInfo": "x" })).status).toBe(400);
    expect((await call(ENVELOPE)).body).toHaveProperty("result");
    expect((await call(ENVELOPE, { "mcp-name": "context_get" })).body).toMatchObject({ error: { code: -32020 } });
    expect((await call(ENVELOPE, { "mcp-method": "tools/list" })).body).toMatchObject({ error: { code: -32020 } });
    expect((await call(ENVELOPE, { "mcp-protocol-version": "2025-11-25" })).status).toBe(400);
  }
});

describe.each([...SUPPORTED_PROTOCOL_VERSIONS])("revision %s", (version) => {
  async function openSession(): Promise<Record<string, string>> {
    const params = { protocolVersion: version, capabilities: {}, clientInfo: { name: "t", version: "0" } };
    const response = await fetch(server.url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        "x-test-caller": "team",
      },
      body: JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize", params }),
    });
    await response.text();
    const headers = {
      "mcp-session-id": response.headers.get("mcp-session-id") ?? "",
      "mcp-protocol-version": version,
    };
    await post({ jsonrpc: "2.0", method: "notifications/initialized" }, headers);
    return headers;
  }

  test("the same answer both ways", async () => {
    const headers = await openSession();
    const call = (name: string, input: unknown, id: unknown, meta: Json) => {
      const params = { name, ...(input === undefined ? {} : { arguments: input }), _meta: meta };
      return { jsonrpc: "2.0", id, method: "tools/call", params };
    };
    const quickCalls = spyOn(QuickCalls.prototype, "older");
    let short = 0;
    for (const [index, [name, input]] of CALLS.entries()) {
      const id = index % 2 === 0 ? index + 1 : `id "${index}"`;
      quickCalls.mockClear();
      const quick = await post(call(name, input, id, { progressToken: index }), headers);
      short += quickCalls.mock.calls.length;
      quickCalls.mockClear();
      const slow = await post(call(name, input, id, { "io.modelcontextprotocol/other": 1 }), headers);
      expect(quickCalls).not.toHaveBeenCalled();
      expect([name, input, quick]).toEqual([name, input, slow]);
    }
    // All but the names that are no tool of this caller.
    expect(short).toBe(CALLS.length - 3);
    quickCalls.mockRestore();
  });

  test("a client that takes no JSON, or names another revision, goes the SDK's way", async () => {
    const headers = await openSession();
    const body = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "whoami", arguments: {} } };
    expect((await post(body, { ...headers, accept: "text/event-stream" })).status).toBe(406);
    expect((await post(body, { ...headers, "mcp-protocol-version": "1999-01-01" })).status).toBe(400);
    expect((await post(body, { ...headers, "mcp-session-id": crypto.randomUUID() })).status).toBe(404);
    expect((await post({ ...body, id: null }, headers)).status).toBe(400);
    expect((await post({ ...body, id: 1.5 }, headers)).status).toBe(400);
  });
});
