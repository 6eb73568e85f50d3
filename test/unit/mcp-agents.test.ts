// Agents over MCP: the handle in `_meta`, in the header and as an argument, on the quick way and on the SDK's, and the
// agent that a session of an older revision goes on as.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Caller } from "../../src/access/caller.ts";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { AGENT_META } from "../../src/lib/mcp-names.ts";
import { newHandle } from "../../src/lib/new-handle.ts";
import { createMcp } from "../../src/mcp/index.ts";
import { type Core, callerWith, startCore } from "../kit/core.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const features = [agentFeature, contextFeature];
const JSON_TYPES = { "content-type": "application/json", accept: "application/json, text/event-stream" };
const REVISION = "2026-07-28";
const member = (login: string) =>
  callerWith({ id: `n${login}`, login: `${login}@example.com`, grants: [{ role: "member", spaces: ["*"] }] });
const ann = member("ann");
const bob = member("bob");

type Mcp = ReturnType<typeof createMcp>;
type Result = { structuredContent?: Record<string, unknown>; isError?: boolean; content: { text: string }[] };

const open = (core: Core, sessionsFile?: string) =>
  createMcp({
    ...{ invoker: core.invoker, features, version: "0", log: () => {} },
    ...(sessionsFile === undefined ? {} : { sessionsFile }),
  });

interface Shown {
  meta?: unknown;
  header?: string;
  caller?: Caller;
}

async function modern(mcp: Mcp, name: string, input: object, { meta, header, caller = ann }: Shown = {}) {
  const envelope = {
    "io.modelcontextprotocol/protocolVersion": REVISION,
    "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": {},
    ...(meta === undefined ? {} : { [AGENT_META]: meta }),
  };
  const headers = {
    ...{ ...JSON_TYPES, "mcp-protocol-version": REVISION, "mcp-method": "tools/call", "mcp-name": name },
    ...(header === undefined ? {} : { "cairn-agent": header }),
  };
  const params = { name, arguments: input, _meta: envelope };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params });
  const response = await mcp.fetch(new Request("http://cairn/mcp", { method: "POST", headers, body }), caller);
  return ((await response.json()) as { result: Result }).result;
}

const agentIn = ({ structuredContent }: Result) => (structuredContent?.["agent"] as { name: string } | undefined)?.name;

async function handleOf(mcp: Mcp, name: string): Promise<string> {
  const { structuredContent } = await modern(mcp, "agent_register", { name });
  return String(structuredContent?.["handle"]);
}

test("in the newest revision each request shows its handle: in _meta, the header or as an argument", async () => {
  await using core = startCore({ features });
  const mcp = open(core);
  const [one, two] = [await handleOf(mcp, "one"), await handleOf(mcp, "two")];
  // The first by the SDK, the others on the quick way.
  for (let count = 0; count < 2; count++) {
    expect(agentIn(await modern(mcp, "whoami", {}, { meta: one }))).toBe("one");
    expect(agentIn(await modern(mcp, "whoami", {}, { header: two }))).toBe("two");
    expect(agentIn(await modern(mcp, "whoami", {}, { header: two, meta: one }))).toBe("one");
    expect(agentIn(await modern(mcp, "whoami", { as: two }, { meta: one }))).toBe("two");
    expect(agentIn(await modern(mcp, "whoami", {}))).toBeUndefined();
  }
  await mcp.close();
});

test("a forged handle in _meta is refused as an argument would be, whatever it is", async () => {
  await using core = startCore({ features });
  const mcp = open(core);
  const handle = await handleOf(mcp, "one");
  for (const meta of [newHandle(), "one", 7, {}, [handle], true]) {
    const { isError, content } = await modern(mcp, "context_put", { id: "a/x", content: "x" }, { meta });
    expect([meta, isError, content[0]?.text]).toEqual([meta, true, expect.stringMatching(/handle/)]);
    expect(content[0]?.text).not.toContain(handle.slice(6));
  }
  const stolen = await modern(mcp, "context_put", { id: "a/x", content: "x" }, { meta: handle, caller: bob });
  expect(stolen).toMatchObject({ isError: true });
  expect((await core.call("context_list", {}))["contexts"]).toEqual([]);
  await mcp.close();
});

test("a session of an older revision goes on as the agent that it registered or showed, also after a restart", async () => {
  await using core = startCore({ features });
  const file = join(temporaryFolder(), "sessions");
  let mcp = open(core, file);
  let session: Record<string, string> = {};
  const post = (message: object, caller = ann) => {
    const init = { method: "POST", headers: { ...JSON_TYPES, ...session }, body: JSON.stringify(message) };
    return mcp.fetch(new Request("http://cairn/mcp", init), caller);
  };
  const begin = async () => {
    const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "older", version: "7" } };
    session = {};
    const opened = await post({ jsonrpc: "2.0", id: 0, method: "initialize", params });
    session = { "mcp-session-id": opened.headers.get("mcp-session-id") ?? "", "mcp-protocol-version": "2025-11-25" };
    await post({ jsonrpc: "2.0", method: "notifications/initialized" });
  };
  const call = async (name: string, input: object, more: object = {}) => {
    const response = await post({
      jsonrpc: "2.0",
      id: 1,
      method: "tools/call",
      params: { name, arguments: input, ...more },
    });
    const text = await response.text();
    const data = text.startsWith("{") ? text : (/^data: (\{.*)$/m.exec(text)?.[1] ?? "{}");
    return (JSON.parse(data) as { result: Result }).result;
  };
  await begin();
  expect(agentIn(await call("whoami", {}))).toBeUndefined();
  const { structuredContent } = await call("agent_register", { name: "one" });
  const handle = String(structuredContent?.["handle"]);
  expect(agentIn(await call("whoami", {}))).toBe("one");
  // Not plain, so the SDK handles it.
  const unplain = { name: "whoami", arguments: {}, unknown: true };
  expect(agentIn(await call("whoami", {}, unplain))).toBe("one");
  const other = await handleOf(mcp, "two");
  expect(agentIn(await call("whoami", {}, { _meta: { [AGENT_META]: other } }))).toBe("two");
  expect(agentIn(await call("whoami", {}))).toBe("two");
  // One that is not the caller's changes nothing.
  expect(await call("whoami", { as: newHandle() })).toMatchObject({ isError: true });
  expect(agentIn(await call("whoami", {}))).toBe("two");
  await mcp.close();
  mcp = open(core, file);
  expect(agentIn(await call("whoami", {}))).toBe("two");
  const kept = readFileSync(file, "utf8");
  for (const secret of [handle, other]) expect(kept).not.toContain(secret.slice(6));
  // Taken over elsewhere: the session is refused until it registers again, which it can.
  await core.call("agent_register", { name: "two", takeover: true }, ann);
  expect(await call("context_put", { id: "a/x", content: "x" })).toMatchObject({ isError: true });
  await call("agent_register", { name: "two", takeover: true });
  expect(agentIn(await call("whoami", {}))).toBe("two");
  // Another session is the caller itself.
  await begin();
  expect(agentIn(await call("whoami", {}))).toBeUndefined();
  await mcp.close();
});
