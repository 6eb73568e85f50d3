// Any request that the short way takes gets the answer that the SDK's way gives: right calls with up to three parts put
// wrong, each sent both ways.

import { afterAll, beforeAll, expect, spyOn, test } from "bun:test";
import fc from "fast-check";
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
const BASE = {
  "content-type": "application/json",
  accept: "application/json, text/event-stream",
  "x-test-caller": "team",
};
/** Stands for the name of the tool in the body. */
const SAME = "(same)";

let core: Core;
let server: McpServer;
let session = "";
let isQuickOff = false;
let quickAnswers = 0;

const spies: { mockRestore(): void }[] = [];

function spyOnQuickCalls(): void {
  const { knows } = QuickCalls.prototype;
  spies.push(
    spyOn(QuickCalls.prototype, "knows").mockImplementation(function (this: QuickCalls, ...given) {
      return !isQuickOff && knows.apply(this, given);
    }),
  );
  for (const way of ["modern", "older"] as const) {
    const original = QuickCalls.prototype[way] as (...given: unknown[]) => Promise<Response>;
    const counted = function (this: QuickCalls, ...given: unknown[]) {
      quickAnswers += 1;
      return original.apply(this, given);
    };
    spies.push(spyOn(QuickCalls.prototype, way).mockImplementation(counted));
  }
}

beforeAll(async () => {
  spyOnQuickCalls();
  core = startCore();
  const caller = callerWith({ id: "nT", login: "t@x", grants: [{ role: "member", spaces: ["team"] }] });
  server = startMcpServer(core, { callers: { team: caller } });
  await core.call("context_put", { id: "team/x", content: { a: 1 } });
  const params = { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "t", version: "0" } };
  const opened = await fetch(server.url, {
    method: "POST",
    headers: BASE,
    body: JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize", params }),
  });
  await opened.text();
  session = opened.headers.get("mcp-session-id") ?? "";
});

afterAll(async () => {
  for (const spy of spies) spy.mockRestore();
  await server.stop();
  await core[Symbol.asyncDispose]();
});

interface Sent {
  body: Json;
  params: Json;
  headers: Record<string, string | undefined>;
}

/** Right calls: of the modern revision, and in a session of an older one. */
const right = (isModern: boolean): Sent => ({
  body: { jsonrpc: "2.0", id: 1, method: "tools/call" },
  params: { name: "context_get", arguments: { id: "team/x" }, ...(isModern ? { _meta: ENVELOPE } : {}) },
  headers: isModern
    ? { ...BASE, "mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": SAME }
    : { ...BASE, "mcp-protocol-version": "2025-06-18", "mcp-session-id": session },
});

const part = (where: keyof Sent, name: string, ...values: unknown[]) =>
  fc.record({ where: fc.constant(where), name: fc.constant(name), value: fc.constantFrom(...values) });
const meta = (more: Json) => ({ ...ENVELOPE, ...more });
const wrong = fc.oneof(
  part("body", "id", 0, -1, "a", "", "\u2028", 1.5, null, true, 2 ** 53, Number.MAX_SAFE_INTEGER, [], undefined, 1e21),
  part("body", "jsonrpc", "1.0", undefined),
  part("body", "result", {}),
  part("body", "more", 1),
  part("params", "name", "whoami", "context_list", "context_export", "context_purge", "audit_query", "none", "", 7),
  part("params", "arguments", undefined, {}, null, [], "x", { id: "hidden/x" }, { id: 1 }, { id: "team/x", x: 1 }),
  part("params", "_meta", undefined, {}, { progressToken: 3 }, { x: 1 }, null, 7, []),
  part("params", "_meta", meta({ progressToken: "t" }), meta({ progressToken: 1.5 }), meta({ progressToken: null })),
  part("params", "_meta", meta({ "io.modelcontextprotocol/logLevel": "debug" }), meta({ more: { deep: [1] } })),
  part("params", "_meta", meta({ "io.modelcontextprotocol/protocolVersion": "2025-06-18" })),
  part("params", "task", {}, { ttl: 1 }),
  part("params", "inputResponses", {}),
  part("params", "requestState", "x"),
  part(
    "headers",
    "mcp-protocol-version",
    undefined,
    MODERN,
    "2025-11-25",
    "2024-11-05",
    "1999",
    `${MODERN}, ${MODERN}`,
  ),
  part("headers", "mcp-method", undefined, "tools/list", "TOOLS/CALL"),
  part("headers", "mcp-name", undefined, "x", "=?base64?d2hvYW1p?="),
  part("headers", "mcp-session-id", undefined, "none"),
  part("headers", "accept", undefined, "*/*", "application/json", "text/event-stream;q=0, application/json"),
  part("headers", "last-event-id", "1.x"),
  part("headers", "mcp-param-id", "other"),
  part("headers", "content-type", "application/json; charset=latin1", "text/plain"),
  part("headers", "query", "?preset=read-only", "?x=1"),
);

async function send({ body, params, headers: { query, ...headers } }: Sent): Promise<Json> {
  const known = Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const named = known.map(
    ([name, value]) => [name, value === SAME ? String(params["name"]) : value] as [string, string],
  );
  const response = await fetch(`${server.url}${query ?? ""}`, {
    method: "POST",
    headers: named,
    body: JSON.stringify({ ...body, params }),
  });
  const text = await response.text();
  const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") === true;
  const messages = isStream ? [...text.matchAll(/^data: (\{[^\n]+)$/gm)].map((match) => match[1] ?? "") : [text];
  return {
    status: response.status,
    session: response.headers.get("mcp-session-id"),
    messages: messages.filter((message) => message !== "").map((message): unknown => JSON.parse(message)),
  };
}

test("both ways give one answer to whatever the short way takes", async () => {
  // Envelopes that the SDK has accepted go the short way from then on.
  await send(right(true));
  let compared = 0;
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(wrong, { maxLength: 3 }), async (isModern, parts) => {
      const sent = right(isModern);
      for (const { where, name, value } of parts) (sent[where] as Json)[name] = value;
      const before = quickAnswers;
      const first = await send(sent);
      if (quickAnswers === before) return;
      compared += 1;
      isQuickOff = true;
      const second = await send(sent).finally(() => {
        isQuickOff = false;
      });
      expect(first).toEqual(second);
    }),
    { numRuns: 1500 },
  );
  expect(compared).toBeGreaterThan(300);
}, 30_000);
