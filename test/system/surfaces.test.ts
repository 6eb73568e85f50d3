// What holds on every surface of a node alike (security.md 14, 15, 16): which media types may write, what no browser
// may make of an answer, and what the loopback door refuses.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnNode, type TestNode } from "../kit/node.ts";

const MODERN = "2026-07-28";
const META = {
  "io.modelcontextprotocol/protocolVersion": MODERN,
  "io.modelcontextprotocol/clientCapabilities": {},
};
const SCRIPT = "<script>alert(1)</script>";

let node: TestNode;
let base: string;

beforeAll(async () => {
  node = await spawnNode({ args: ["--conformance"] });
  base = (await node.ready()).localUrl ?? "";
}, 120_000);
afterAll(async () => {
  await node?.[Symbol.asyncDispose]();
}, 60_000);

const ask = (path: string, init: RequestInit = {}) => fetch(`${base}${path}`, { redirect: "manual", ...init });

/** One call as an MCP client of the newest revision makes it. */
function mcp(method: string, params: Record<string, unknown>, headers: Record<string, string> = {}): RequestInit {
  const name = params["name"] ?? params["uri"];
  return {
    method: "POST",
    headers: {
      accept: "application/json, text/event-stream",
      "content-type": "application/json",
      "mcp-protocol-version": MODERN,
      "mcp-method": method,
      ...(typeof name === "string" ? { "mcp-name": name } : {}),
      ...headers,
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: { ...params, _meta: META } }),
  };
}

const put = (id: string) => ({ name: "context_put", arguments: { id, content: SCRIPT } });

/** A write of the context `id` by each road that takes a body. */
const writes: [road: string, make: (id: string) => [path: string, init: RequestInit]][] = [
  ["POST /mcp", (id) => ["/mcp", mcp("tools/call", put(id))]],
  [
    "POST /operations",
    (id) => [
      "/operations/context_put",
      {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ id, content: SCRIPT }),
      },
    ],
  ],
  [
    "PUT /contexts",
    (id) => [`/contexts/${id}`, { method: "PUT", headers: { "content-type": "application/json" }, body: "{}" }],
  ],
];

describe.each(writes)("%s", (road, make) => {
  const exists = async (id: string) => (await ask(`/contexts/${id}`)).status;

  test("writes with a JSON type, whatever its case and parameters", async () => {
    for (const [index, type] of ["application/json", "Application/JSON; charset=utf-8"].entries()) {
      const id = `types/${road.replaceAll(/[^a-z]/gi, "")}-${index}`;
      const [path, init] = make(id);
      const answer = await ask(path, { ...init, headers: { ...(init.headers as object), "content-type": type } });
      expect([type, answer.ok]).toEqual([type, true]);
      expect(await exists(id)).toBe(200);
    }
  });

  // What a form or a simple request of a foreign page can carry, with JSON only as a part of the text.
  test.each([
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonx",
    "xapplication/json",
    // PUT takes text, of any kind.
    ...(road.startsWith("PUT")
      ? []
      : ["text/html", "text/plain", "text/plain; application/json", "text/plain;application/json", ""]),
  ])("does not write with %j", async (type) => {
    const id = "types/refused";
    const [path, init] = make(id);
    // Without a type of its own fetch would add one to a text.
    const body = type === "" ? new TextEncoder().encode(String(init.body)) : init.body;
    const headers = new Headers(init.headers);
    if (type === "") headers.delete("content-type");
    else headers.set("content-type", type);
    const answer = await ask(path, { ...init, headers, body });
    expect(answer.status).toBe(415);
    expect(await exists(id)).toBe(404);
  });

  test("refuses other hosts and foreign pages before anything is written", async () => {
    const id = "types/foreign";
    const [path, init] = make(id);
    const hostile: [headers: Record<string, string>, status: number][] = [
      [{ host: "evil.example" }, 421],
      [{ origin: "http://evil.example" }, 403],
      [{ origin: "null" }, 403],
      [{ "sec-fetch-site": "cross-site" }, 403],
      [{ "sec-fetch-site": "same-site" }, 403],
    ];
    for (const [headers, status] of hostile) {
      const answer = await ask(path, { ...init, headers: { ...(init.headers as object), ...headers } });
      expect([headers, answer.status]).toEqual([headers, status]);
    }
    expect(await exists(id)).toBe(404);
  });
});

test("every answer is private, sandboxed and of the type that it says", async () => {
  expect((await ask("/mcp", mcp("tools/call", put("safe/a")))).status).toBe(200);
  const asked: [what: string, path: string, init?: RequestInit][] = [
    ["a context", "/contexts/safe/a"],
    ["a list", "/contexts"],
    ["no such context", "/contexts/safe/none"],
    ["no such route", "/nowhere"],
    ["health", "/health"],
    ["metrics", "/metrics"],
    ["OpenAPI", "/openapi.json"],
    [
      "an operation",
      "/operations/context_get",
      { method: "POST", body: '{"id":"safe/a"}', headers: { "content-type": "application/json" } },
    ],
    ["a tool", "/mcp", mcp("tools/call", { name: "context_get", arguments: { id: "safe/a" } })],
    ["a resource", "/mcp", mcp("resources/read", { uri: "cairn:///safe/a" })],
    ["the list of tools", "/mcp", mcp("tools/list", {})],
    ["a tool that fails", "/mcp", mcp("tools/call", { name: "context_get", arguments: { id: "safe/none" } })],
    ["no MCP", "/mcp", { method: "POST", body: "x", headers: { "content-type": "text/plain" } }],
    ["no method of MCP", "/mcp", { method: "PUT" }],
    ["no session", "/mcp"],
  ];
  for (const [what, path, init] of asked) {
    const { headers } = await ask(path, init);
    expect([what, headers.get("x-content-type-options")]).toEqual([what, "nosniff"]);
    expect([what, headers.get("content-security-policy")]).toEqual([what, expect.stringContaining("sandbox")]);
    expect([what, headers.get("cross-origin-resource-policy")]).toEqual([what, "same-origin"]);
    expect([what, headers.get("cache-control")]).toEqual([what, expect.stringMatching(/private|no-store|no-cache/)]);
    expect([what, headers.get("access-control-allow-origin")]).toEqual([what, null]);
    expect([what, headers.get("content-type")]).toEqual([
      what,
      expect.stringMatching(/^(application\/(problem\+)?json|text\/plain|text\/event-stream)/),
    ]);
  }
});

test("GET and HEAD change nothing", async () => {
  const before = await positionOf();
  for (const path of ["/", "/contexts", "/contexts/safe/a", "/health", "/ready", "/metrics", "/openapi.json", "/mcp"]) {
    await (await ask(path)).body?.cancel();
    await ask(path, { method: "HEAD" });
  }
  expect(await positionOf()).toBe(before);
});

async function positionOf(): Promise<string> {
  const answer = await ask("/operations/whoami", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  expect(answer.status).toBe(200);
  return answer.headers.get("cairn-position") ?? "";
}
