// What an MCP client says of itself, on every way that a call takes: the quick one, the SDK's, and sessions of older
// revisions.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { FEATURES } from "../../src/features/index.ts";
import { createMcp } from "../../src/mcp/index.ts";
import { type Core, localAdmin, startCore } from "../kit/core.ts";
import { temporaryFolder } from "../kit/temporary.ts";

/** Returns what the history of `a/x` has of clients, newest first. */
async function clientsOf(core: Core): Promise<unknown[]> {
  const { versions } = await core.call("context_history", { id: "a/x" });
  return (versions as { client?: string }[]).map(({ client }) => client);
}

const JSON_TYPES = { "content-type": "application/json", accept: "application/json, text/event-stream" };

test("takes that of the request in the newest revision, on the first call and on later ones", async () => {
  await using core = startCore();
  const mcp = createMcp({ invoker: core.invoker, features: FEATURES, version: "0", log: () => {} });
  const revision = "2026-07-28";
  const put = async (name: string) => {
    const meta = {
      "io.modelcontextprotocol/protocolVersion": revision,
      "io.modelcontextprotocol/clientInfo": { name, version: "1" },
      "io.modelcontextprotocol/clientCapabilities": {},
    };
    const params = { name: "context_put", arguments: { id: "a/x", content: "x" }, _meta: meta };
    const headers = {
      ...JSON_TYPES,
      "mcp-protocol-version": revision,
      "mcp-method": "tools/call",
      "mcp-name": "context_put",
    };
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params });
    const response = await mcp.fetch(new Request("http://cairn/mcp", { method: "POST", headers, body }), localAdmin);
    expect(await response.json()).toMatchObject({ result: { structuredContent: { id: "a/x" } } });
  };
  for (const name of ["first", "first", "second"]) await put(name);
  expect(await clientsOf(core)).toEqual(["second 1", "first 1", "first 1"]);
  await mcp.close();
});

test("takes that of the session's initialize in older revisions, also after a restart", async () => {
  await using core = startCore();
  const sessionsFile = join(temporaryFolder(), "sessions");
  const open = () =>
    createMcp({ invoker: core.invoker, features: FEATURES, version: "0", sessionsFile, log: () => {} });
  let mcp = open();
  let session: Record<string, string> = {};
  const post = (message: object) => {
    const init = { method: "POST", headers: { ...JSON_TYPES, ...session }, body: JSON.stringify(message) };
    return mcp.fetch(new Request("http://cairn/mcp", init), localAdmin);
  };
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "older", version: "7" } };
  const opened = await post({ jsonrpc: "2.0", id: 0, method: "initialize", params });
  session = { "mcp-session-id": opened.headers.get("mcp-session-id") ?? "", "mcp-protocol-version": "2025-11-25" };
  await post({ jsonrpc: "2.0", method: "notifications/initialized" });
  const put = async (more: object) => {
    const call = { name: "context_put", arguments: { id: "a/x", content: "x" }, ...more };
    await (await post({ jsonrpc: "2.0", id: 1, method: "tools/call", params: call })).text();
  };
  await put({});
  // Not plain, so the SDK handles it.
  await put({ unknown: true });
  await mcp.close();
  mcp = open();
  await put({});
  expect(await clientsOf(core)).toEqual(["older 7", "older 7", "older 7"]);
  await mcp.close();
});
