// `cairn bridge --agent NAME`: registers the name, keeps the handle in a file, and shows it with every call, with one
// node and with a fleet, for clients of both revisions.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AgentRoute, BridgeTransport, SingleNodeRoute } from "../../src/bridge/index.ts";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextOperations } from "../../src/features/context/index.ts";
import { handleFile } from "../../src/lib/handle-file.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import { whoami } from "../../src/operation/whoami.ts";
import { type Core, callerWith, startCore } from "../kit/core.ts";
import { faultOf, fleetBridge } from "../kit/fleet-bridge.ts";
import { ERAS, type Era, newClient, textOf } from "../kit/mcp-client.ts";
import { Door, tellMembers } from "../kit/mcp-fleet.ts";
import { type McpServer, startMcpServer } from "../kit/mcp-server.ts";

const bridgeCaller = callerWith({ kind: "local", id: "local:bridge", login: "" });
const operations = [...contextOperations, whoami, ...operationsOf([agentFeature])];
let folder: string;
let unix: string;
let core: Core;
let server: McpServer;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cairn-bridge-agent-"));
  unix = join(folder, "s");
  core = startCore({ operations });
  server = startMcpServer(core, { unix, callers: { default: bridgeCaller } });
});

afterEach(async () => {
  await server.stop();
  await core[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const fileOf = (name: string) => handleFile(folder, ["bridge", "local"], name);
const authors = () => core.store.reader.all("SELECT agent, caller FROM changes WHERE target = 'a/x' ORDER BY seq");

async function open(era: Era, name: string, type?: string, preset?: string) {
  const written: string[] = [];
  const log = (level: string, line: string) => void written.push(`${level} ${line}`);
  const agent = { name, type, file: fileOf(name) };
  const transport = new BridgeTransport(() => {
    const address = { socketPath: unix, ...(preset === undefined ? {} : { preset }) };
    return new AgentRoute(new SingleNodeRoute(() => address), agent);
  }, log);
  const client = newClient(era);
  await client.connect(transport);
  const call = async (tool: string, input: Record<string, unknown> = {}) => {
    const result = await client.callTool({ name: tool, arguments: input });
    written.push(JSON.stringify(result));
    return { ...textOf(result), failed: result["isError"] === true };
  };
  return { client, call, written, [Symbol.asyncDispose]: () => client.close() };
}

describe.each(ERAS)("%s client", (era) => {
  test("acts as the agent, which no answer and no line of the bridge shows the handle of", async () => {
    await using bridge = await open(era, "Builder", "coder");
    expect(await bridge.call("whoami")).toMatchObject({
      caller: "local:bridge",
      agent: { name: "Builder", type: "coder" },
    });
    await bridge.call("context_put", { id: "a/x", content: "x" });
    await bridge.call("agent_status", { doing: "work" });
    expect(authors()).toEqual([{ agent: "Builder", caller: "local:bridge" }]);
    const file = fileOf("builder");
    const handle = readFileSync(file, "utf8").trim();
    expect([handle, statSync(file).mode & 0o777]).toEqual([expect.stringMatching(/^agent-[0-9a-f]{32}$/), 0o600]);
    expect(bridge.written.join("\n")).not.toContain(handle.slice(6));
  });

  test("keeps its handle over restarts of bridge and node, and registers again once it was taken over", async () => {
    {
      await using first = await open(era, "builder");
      await first.call("whoami");
    }
    const kept = readFileSync(fileOf("builder"), "utf8");
    await server.stop();
    server = startMcpServer(core, { unix, callers: { default: bridgeCaller } });
    {
      await using second = await open(era, "builder");
      expect(await second.call("whoami")).toMatchObject({ agent: { name: "builder" } });
      expect(readFileSync(fileOf("builder"), "utf8")).toBe(kept);
      // An agent that took the name ends this one: the bridge does not take it back by itself.
      await core.call("agent_register", { name: "builder", takeover: true }, bridgeCaller);
      expect(await second.call("context_list")).toMatchObject({ code: "agent_unknown", failed: true });
    }
    await using third = await open(era, "builder");
    expect(await third.call("whoami")).toMatchObject({ agent: { name: "builder" } });
    expect(readFileSync(fileOf("builder"), "utf8")).not.toBe(kept);
  });
});

describe.each(ERAS)("%s client with a preset", (era) => {
  test("is offered its tools, and the bridge registers the agent though none of them does", async () => {
    await using bridge = await open(era, "builder", undefined, "core");
    const names = (await bridge.client.listTools()).tools.map(({ name }) => name);
    expect(names).toContain("context_put");
    expect(names).not.toContain("agent_register");
    await bridge.call("context_put", { id: "a/x", content: "x" });
    expect(authors()).toEqual([{ agent: "builder", caller: "local:bridge" }]);
  });

  test("registers too where a grant names the preset", async () => {
    const grants = [{ role: "member", spaces: ["a"], preset: "core" }];
    server.callers["default"] = callerWith({ id: "nANN", login: "ann@x", grants });
    await using bridge = await open(era, "builder");
    expect((await bridge.client.listTools()).tools.map(({ name }) => name)).not.toContain("agent_register");
    await bridge.call("context_put", { id: "a/x", content: "x" });
    expect(authors()).toEqual([{ agent: "builder", caller: "user:ann@x" }]);
  });

  test("only reads with read-only, and learns which presets there are", async () => {
    await using bridge = await open(era, "builder", undefined, "core,read-only");
    expect(await bridge.call("context_put", { id: "a/x", content: "x" })).toMatchObject({ code: "forbidden" });
    expect(authors()).toEqual([]);
    await expect(open(era, "builder", undefined, "cores&x=1")).rejects.toThrow(/does not know .*\?preset=core/s);
  });
});

test("many calls at once register once", async () => {
  await using bridge = await open("modern", "builder");
  await Promise.all(Array.from({ length: 20 }, () => bridge.call("whoami")));
  expect(core.store.reader.all("SELECT outcome FROM changes")).toEqual([{ outcome: "registered" }]);
});

test("a name of another caller, and a file that others can read, end the connection in words", async () => {
  await core.call("agent_register", { name: "builder" });
  const words = 'The bridge cannot act as the agent builder: The name "builder" belongs to an agent of local';
  await expect(open("modern", "builder")).rejects.toMatchObject({ message: words, data: { code: "agent_taken" } });
  // One that was there before may be of the other caller, so it is kept.
  writeFileSync(fileOf("builder"), `agent-${"0".repeat(32)}\n`, { mode: 0o600 });
  chmodSync(fileOf("builder"), 0o600);
  await expect(open("modern", "builder")).rejects.toMatchObject({ data: { code: "agent_taken" } });
  expect(readFileSync(fileOf("builder"), "utf8")).toBe(`agent-${"0".repeat(32)}\n`);
  chmodSync(fileOf("builder"), 0o644);
  const unsafe: unknown = await open("modern", "builder").catch((error: unknown) => error);
  expect(unsafe).toMatchObject({ data: { code: "data_unsafe" } });
  expect(String(unsafe)).not.toContain("0".repeat(32));
  expect(() => handleFile(folder, ["x"], "../x")).toThrow("is not the name of an agent");
});

test("over a fleet the next member is asked as the same agent, and its own probes as the caller", async () => {
  const members = tellMembers(() => []);
  await using fleet = startCore({ operations: [...operations, members] });
  const doors = [new Door(fleet, {}), new Door(fleet, {})];
  const bridge = fleetBridge(doors, { agent: { name: "builder", type: undefined, file: fileOf("builder") } });
  const first = await bridge.call("whoami", {});
  expect(first.result?.structuredContent?.["agent"]).toEqual({ name: "builder", type: "" });
  const asked = doors.find((door) => door.calls.includes("tools/call agent_register"));
  await asked?.kill();
  const put = await bridge.call("context_put", { id: "a/x", content: "x" });
  expect(put.result?.structuredContent).toMatchObject({ id: "a/x" });
  expect(fleet.store.reader.all("SELECT agent FROM changes WHERE target = 'a/x'")).toEqual([{ agent: "builder" }]);
  await fleet.call("agent_remove", { name: "builder" });
  expect(faultOf(await bridge.call("context_list", {}))).toMatchObject({ code: "agent_unknown" });
  await bridge.stop();
  for (const door of doors) await door[Symbol.asyncDispose]();
});
