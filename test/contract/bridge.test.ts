// `cairn bridge` with the SDK's real stdio client of both eras against the endpoint on a unix socket, and line by line
// where a client would hide what happens.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { z } from "zod";
import { runBridge, SingleNodeRoute } from "../../src/bridge/index.ts";
import {
  contextDelete,
  contextFeature,
  contextGet,
  contextList,
  contextPut,
} from "../../src/features/context/index.ts";
import { act } from "../../src/operation/define.ts";
import { whoami } from "../../src/operation/whoami.ts";
import { type Core, callerWith, startCore } from "../kit/core.ts";
import { faultOf, type Json, META } from "../kit/fleet-bridge.ts";
import { inTime } from "../kit/in-time.ts";
import { ERAS, type Era, newClient, textOf, until } from "../kit/mcp-client.ts";
import { type McpServer, startMcpServer } from "../kit/mcp-server.ts";

const bridgeCaller = callerWith({ kind: "local", id: "local:bridge", login: "" });
let started = 0;
let aborted = 0;
const hang = act({
  name: "hang",
  title: "Hang",
  description: "Runs until it is cancelled.",
  input: z.object({}),
  output: z.object({}),
  access: { verb: "read", spaces: "visible" },
  run: (_input, { signal }) => {
    started++;
    return new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => {
        aborted++;
        reject(signal.reason);
      });
    });
  },
});

let folder: string;
let unix: string;
let core: Core;
let server: McpServer;
const serve = () => startMcpServer(core, { unix, features: [contextFeature], callers: { default: bridgeCaller } });

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cairn-bridge-"));
  unix = join(folder, "s");
  core = startCore({ operations: [contextPut, contextDelete, contextGet, contextList, whoami, hang] });
  server = serve();
  started = 0;
  aborted = 0;
});

afterEach(async () => {
  await server.stop();
  await core[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function open(era: Era) {
  const client = newClient(era);
  const updated: string[] = [];
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => void updated.push(params.uri));
  const stderr: string[] = [];
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [join(import.meta.dir, "../kit/bridge-main.ts"), unix],
    stderr: "pipe",
  });
  transport.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk.toString()));
  await client.connect(transport);
  return { client, updated, stderr, [Symbol.asyncDispose]: () => client.close() };
}

describe.each(ERAS)("%s stdio client", (era) => {
  test("calls, reads, and many calls at once", async () => {
    await using bridge = await open(era);
    const { client } = bridge;
    expect((await client.listTools()).tools.map((tool) => tool.name)).toContain("context_put");
    await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        client.callTool({ name: "context_put", arguments: { id: `team/${i}`, content: "ü\n".repeat(i * 50) } }),
      ),
    );
    const read = await client.callTool({ name: "context_get", arguments: { id: "team/59" } });
    expect(textOf(read)).toMatchObject({ content: "ü\n".repeat(59 * 50), author: "local:bridge" });
    // The bridge passes on what its client says of itself.
    expect(core.store.reader.all("SELECT DISTINCT client FROM changes")).toEqual([{ client: "test 0" }]);
    const { contents } = await client.readResource({ uri: "cairn:///team/1" });
    expect(contents[0]).toMatchObject({ text: "ü\n".repeat(50) });
    const { resources } = await client.listResources();
    expect(resources.length).toBe(60);
    expect(textOf(await client.callTool({ name: "context_get", arguments: { id: "team/none" } }))).toMatchObject({
      code: "not_found",
    });
    await expect(client.callTool({ name: "nope", arguments: {} })).rejects.toThrow("Unknown tool");
  });

  test("hears of writes, and goes on after the node restarted", async () => {
    await using bridge = await open(era);
    const { client, updated } = bridge;
    const uri = "cairn:///team/watched";
    const listen = async () => {
      if (era === "legacy") await client.subscribeResource({ uri });
      else await client.listen({ resourceSubscriptions: [uri] });
    };
    await listen();
    await core.call("context_put", { id: "team/watched", content: 1 });
    await until(
      () => updated.length === 1,
      () => updated,
    );
    await server.stop();
    server = serve();
    const after = await client.callTool({ name: "context_get", arguments: { id: "team/watched" } });
    expect(after.structuredContent).toMatchObject({ version: 1 });
    if (era === "modern") await listen();
    // An older client is told to look again, for what it may have missed; then it hears as before.
    else
      await until(
        () => updated.length === 2,
        () => [updated, bridge.stderr],
      );
    const before = updated.length;
    // The new stream opens a moment after the new session.
    await until(
      () => era === "modern" || server.mcp !== undefined,
      () => updated,
    );
    await core.call("context_put", { id: "team/watched", content: 2 });
    await until(
      () => updated.length > before,
      () => [updated, bridge.stderr],
    );
  });

  test("a call while the node is away fails with what to do, and the next one works", async () => {
    await using bridge = await open(era);
    await server.stop();
    const failed = await bridge.client.callTool({ name: "whoami", arguments: {} });
    expect(failed.isError).toBe(true);
    expect(failed.structuredContent).toBeUndefined();
    const [sentence, json] = failed.content as { text: string }[];
    expect(sentence?.text).toContain(unix);
    expect(sentence?.text).toContain("cairn serve");
    expect(JSON.parse(json?.text ?? "")).toMatchObject({ code: "not_running", retryable: true });
    expect(faultOf({ result: failed as NonNullable<Json["result"]> })["hint"]).toContain("cairn serve");
    const listed = await bridge.client.listTools().catch((error: unknown) => error);
    expect(listed).toMatchObject({ code: 503, data: { code: "not_running", retryable: true } });
    server = serve();
    const again = await bridge.client.callTool({ name: "whoami", arguments: {} });
    expect(again.structuredContent).toMatchObject({ caller: "local:bridge" });
  }, 15_000);

  test("cancelling reaches the operation", async () => {
    await using bridge = await open(era);
    const cancel = new AbortController();
    const call = bridge.client
      .callTool({ name: "hang", arguments: {} }, { signal: cancel.signal })
      .catch(() => undefined);
    await until(
      () => started === 1,
      () => started,
    );
    cancel.abort();
    await until(
      () => aborted === 1,
      () => aborted,
    );
    await call;
  });
});

/** Runs the bridge in this process over lines. */
function inProcess() {
  const written: string[] = [];
  const lines = new TransformStream<string | Uint8Array, string | Uint8Array>();
  const writer = lines.writable.getWriter();
  const end = new AbortController();
  const log: string[] = [];
  const done = runBridge({
    route: new SingleNodeRoute(() => ({ socketPath: unix })),
    stdin: lines.readable,
    stdout: {
      write: (text, finished) => {
        written.push(text);
        setTimeout(finished, 1);
      },
    },
    signal: end.signal,
    log: (level, message) => log.push(`${level}: ${message}`),
  });
  const messages = () =>
    written
      .join("")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Record<string, unknown> & { error?: { code: number } });
  return {
    write: (text: string | Uint8Array) => writer.write(text),
    close: () => writer.close(),
    end,
    done,
    messages,
    written,
    log,
  };
}

const modern = (id: number | string, method: string, params: Record<string, unknown> = {}) =>
  `${JSON.stringify({ jsonrpc: "2.0", id, method, params: { ...params, _meta: META } })}\n`;

describe("lines", () => {
  test("only protocol comes out, whatever goes in; chunks may split anywhere", async () => {
    const bridge = inProcess();
    await bridge.write("not json\n");
    await bridge.write('\n  \n[]\n{}\n{"jsonrpc":"2.0","id":"half"}\n');
    const call = modern(7, "tools/call", { name: "context_put", arguments: { id: "team/\u00ad", content: 1 } });
    for (const part of [call.slice(0, 20), call.slice(20, 90), call.slice(90)]) await bridge.write(part);
    await bridge.write(modern("r", "resources/read", { uri: "cairn:///team/ü\u0001" }));
    await bridge.write('{"jsonrpc":"2.0","id":9,"method":"tools/list"}\n');
    await bridge.close();
    await bridge.done;
    const byId = new Map(bridge.messages().map((message) => [message["id"], message]));
    expect(
      bridge
        .messages()
        .filter((message) => message["id"] === null)
        .map((message) => message.error?.code),
    ).toEqual([-32700, -32700, -32600]);
    expect(byId.get("half")?.error?.code).toBe(-32600);
    expect(JSON.stringify(byId.get(7))).toContain("is not a context id");
    expect(byId.get("r")?.error?.code).toBe(-32602);
    expect(JSON.stringify(byId.get(9))).toContain("initialize first");
    for (const line of bridge.written) expect(line.indexOf("\n")).toBe(line.length - 1);
  });

  test("a line that is not UTF-8 is refused, and the next one works; a mark before the first is left out", async () => {
    const bridge = inProcess();
    const put = (id: number) =>
      Buffer.from(modern(id, "tools/call", { name: "context_put", arguments: { id: "team/b", content: "é" } }));
    const latin1 = Buffer.from(put(2).toString("utf8"), "latin1");
    const all = Buffer.concat([Buffer.from("\uFEFF"), put(1), latin1, put(3)]);
    // Cut within the mark, and within the character of the first line.
    const cut = all.indexOf("é") + 1;
    for (const part of [all.subarray(0, 2), all.subarray(2, cut), all.subarray(cut)]) await bridge.write(part);
    await bridge.close();
    await bridge.done;
    const [refused] = bridge.messages().filter(({ id }) => id === null);
    expect(refused).toMatchObject({
      error: { code: -32700, message: expect.stringContaining("Line 2 is not UTF-8: byte 0x22 at offset") },
    });
    expect(
      bridge
        .messages()
        .flatMap(({ id, result }) => (result === undefined ? [] : [id]))
        .sort(),
    ).toEqual([1, 3]);
    expect(await core.call("context_get", { id: "team/b" })).toMatchObject({ content: "é", version: 2 });
  });

  test("a message over the bound is refused and the next one works", async () => {
    const bridge = inProcess();
    for (let i = 0; i < 18; i++) await bridge.write("x".repeat(1024 * 1024));
    await bridge.write(`\n${modern(1, "server/discover")}`);
    await bridge.close();
    await bridge.done;
    expect(bridge.messages()[0]?.error?.code).toBe(-32600);
    expect(bridge.messages()[1]).toMatchObject({ id: 1, result: { supportedVersions: ["2026-07-28"] } });
  });

  test("end of stdin waits for answers, not for endless streams; the session ends with it", async () => {
    const bridge = inProcess();
    const initialize = {
      jsonrpc: "2.0",
      id: 0,
      method: "initialize",
      params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "x", version: "0" } },
    };
    await bridge.write(`${JSON.stringify(initialize)}\n{"jsonrpc":"2.0","method":"notifications/initialized"}\n`);
    await bridge.write(modern(3, "subscriptions/listen", { notifications: { resourcesListChanged: true } }));
    await bridge.write('{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"whoami"}}\n');
    await inTime(2000, Promise.all([bridge.close(), bridge.done]));
    const ids = bridge.messages().map((message) => message["id"]);
    expect(ids).toContain(0);
    expect(ids).toContain(4);
    expect(bridge.messages().find((message) => message["id"] === 4)).toMatchObject({
      result: { structuredContent: {} },
    });
  });

  test("a bridge that starts before the node says so, and works when the node is there", async () => {
    await server.stop();
    const bridge = inProcess();
    await bridge.write(modern(1, "tools/call", { name: "whoami", arguments: {} }));
    await until(
      () => bridge.messages().length === 1,
      () => bridge.messages(),
      6000,
    );
    expect(bridge.messages()[0]).toMatchObject({ id: 1, result: { resultType: "complete", isError: true } });
    expect(faultOf(bridge.messages()[0] as Json)).toMatchObject({ code: "not_running", retryable: true });
    await bridge.write(modern(2, "tools/call", { name: "whoami", arguments: {} }));
    server = serve();
    await until(
      () => bridge.messages().length === 2,
      () => bridge.messages(),
      6000,
    );
    expect(bridge.messages()[1]).toMatchObject({ id: 2, result: { structuredContent: { caller: "local:bridge" } } });
    await bridge.close();
    await bridge.done;
  }, 15_000);

  test("a call that the node refuses as a whole is a result, which the model reads", async () => {
    await server.stop();
    server = startMcpServer(core, {
      ...{ unix, features: [contextFeature] },
      callers: { default: callerWith({ id: "nEVE", login: "eve@x" }) },
    });
    const bridge = inProcess();
    await bridge.write(modern(1, "tools/call", { name: "context_get", arguments: { id: "team/a" } }));
    await bridge.write(modern(2, "tools/list"));
    await bridge.close();
    await bridge.done;
    const byId = new Map(bridge.messages().map((message) => [message["id"], message]));
    expect(faultOf(byId.get(1) as Json)).toMatchObject({ code: "forbidden", retryable: false });
    expect(byId.get(2)?.error?.code).toBe(403);
  });

  test("a call over the bound of calls in flight is a result that says to wait", async () => {
    const bridge = inProcess();
    for (let id = 1; id <= 129; id++) await bridge.write(modern(id, "tools/call", { name: "hang", arguments: {} }));
    await until(
      () => bridge.messages().length === 1,
      () => bridge.messages(),
    );
    expect(bridge.messages()[0]).toMatchObject({ id: 129 });
    expect(faultOf(bridge.messages()[0] as Json)).toMatchObject({
      message: "128 calls are in flight",
      retryable: true,
    });
    bridge.end.abort();
    await bridge.done;
  });

  test("the signal ends it at once", async () => {
    const bridge = inProcess();
    await bridge.write(modern(3, "tools/call", { name: "hang", arguments: {} }));
    await until(
      () => started === 1,
      () => started,
    );
    bridge.end.abort();
    await bridge.done;
    await until(
      () => aborted === 1,
      () => aborted,
    );
    expect(bridge.messages()).toEqual([]);
  });
});
