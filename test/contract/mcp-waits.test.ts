// context_wait through MCP in both eras: it tells progress, survives proxies that cut what is quiet, and ends at once
// when it is cancelled, the rights change or the node stops.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Core, callerWith, startCore } from "../kit/core.ts";
import { startIdleProxy } from "../kit/idle-proxy.ts";
import { inTime } from "../kit/in-time.ts";
import { type Connected, connect, ERAS, textOf, until } from "../kit/mcp-client.ts";
import { type McpServer, startMcpServer } from "../kit/mcp-server.ts";

let core: Core;
let server: McpServer;

const team = () => callerWith({ id: "nTEAM", login: "t@x", grants: [{ role: "member", spaces: ["team"] }] });

beforeEach(() => {
  core = startCore();
  server = startMcpServer(core, { callers: { team: team() }, keepAliveMs: 40 });
});

afterEach(async () => {
  await server.stop();
  await core[Symbol.asyncDispose]();
});

const waits = () => core.invoker.openStreams;

/** Waits that are under way hold one of the caller's streams each, beside the stream of an older session. */
async function underWay(count: number): Promise<void> {
  await until(
    () => waits() === count,
    () => waits(),
  );
}

const wait = (
  one: Connected,
  input: Record<string, unknown>,
  options: Parameters<Connected["client"]["callTool"]>[1] = {},
) => one.client.callTool({ name: "context_wait", arguments: input }, options);

describe.each(ERAS)("%s client", (era) => {
  /** The stream of an older session. */
  const own = era === "legacy" ? 1 : 0;

  test("tells progress where it is asked for, so that a client with little patience stays", async () => {
    await using one = await connect(server.url, era, "team");
    const seen: { progress: number; total?: number | undefined }[] = [];
    await underWay(own);
    const waiting = wait(
      one,
      { id: "team/x", timeout_seconds: 30 },
      {
        timeout: 400,
        resetTimeoutOnProgress: true,
        maxTotalTimeout: 20_000,
        onprogress: (step) => void seen.push(step),
      },
    );
    await underWay(own + 1);
    // Longer than the client would wait without a word.
    await until(
      () => seen.length >= 15,
      () => seen,
    );
    await core.call("context_put", { id: "team/x", content: 1 });
    expect((await waiting).structuredContent).toMatchObject({ timed_out: false, changes: [{ target: "team/x" }] });
    const steps = seen.map((step) => step.progress);
    expect(steps).toEqual([...new Set(steps)].sort((a, b) => a - b));
    expect(seen.every((step) => step.total === 30)).toBe(true);
    await underWay(own);
  });

  test("a client that gives up early misses nothing when it waits again from the same position", async () => {
    await using one = await connect(server.url, era, "team");
    const { tools } = await one.client.listTools();
    const tool = tools.find(({ name }) => name === "context_wait");
    expect(tool?.description).toMatch(/after 60 s, some after 5.*same since/);
    expect(JSON.stringify(tool?.inputSchema)).toContain("default 20, at most 300");
    const first = (await wait(one, { prefix: "team/", timeout_seconds: 0 })).structuredContent as Record<
      string,
      unknown
    >;
    let since = String(first["position"]);
    for (let round = 0; round < 3; round++) {
      const given = wait(one, { prefix: "team/", since }, { timeout: 100 });
      await expect(given).rejects.toThrow(/timed out/i);
      await underWay(own);
      await core.call("context_put", { id: `team/${round}`, content: round });
      await core.call("context_put", { id: `team/${round}`, content: "again" });
      const { structuredContent } = await wait(one, { prefix: "team/", since }, { timeout: 5000 });
      const found = structuredContent as { changes: { version: number }[]; position: string; timed_out: boolean };
      expect([found.timed_out, found.changes.map(({ version }) => version)]).toEqual([false, [1, 2]]);
      since = found.position;
    }
  });

  test("a cancelled wait ends at once and gives its place back", async () => {
    await using one = await connect(server.url, era, "team");
    await underWay(own);
    const cancel = new AbortController();
    const waiting = wait(one, { id: "team/x", timeout_seconds: 60 }, { signal: cancel.signal }).catch(
      () => "cancelled",
    );
    await underWay(own + 1);
    cancel.abort();
    const [said] = await inTime(1000, Promise.all([waiting, underWay(own)]));
    expect(said).toBe("cancelled");
  });

  test("a wait ends when the rights of its caller change; under the new ones it is refused", async () => {
    await using one = await connect(server.url, era, "team");
    const waiting = wait(one, { id: "team/x", timeout_seconds: 60 }).then(
      (result) => textOf(result),
      (error: Error) => ({ code: "closed", message: error.message }),
    );
    await underWay(own + 1);
    server.callers["team"] = { ...team(), grants: [] };
    server.mcp.callersChanged(["nTEAM"]);
    if (era === "modern") expect(await waiting).toMatchObject({ code: "unavailable", retryable: true });
    else {
      // An older session ends with its streams, so the answer has no way back.
      const ended = await Promise.race([waiting, until(() => waits() === 0, waits).then(() => ({ code: "gone" }))]);
      expect(["unavailable", "closed", "gone"]).toContain(String(ended["code"]));
    }
    await underWay(0);
    await core.call("context_put", { id: "team/x", content: 1 });
    // Without any right not even a session is opened.
    await expect(connect(server.url, era, "team")).rejects.toMatchObject({ data: { status: 403 } });
  });

  test("a node that stops answers its waits", async () => {
    await using one = await connect(server.url, era, "team");
    const waiting = wait(one, { id: "team/x", timeout_seconds: 60 });
    await underWay(own + 1);
    const [ended] = await inTime(1500, Promise.all([waiting, server.mcp.close()]));
    expect(textOf(ended)).toMatchObject({ code: "unavailable", retryable: true });
  });

  test("a caller has as many streams and waits as its limit says: the oldest wait gives way, others' do not", async () => {
    await using one = await connect(server.url, era, "team");
    await underWay(own);
    const cancel = new AbortController();
    await using other = await connect(server.url, era);
    await underWay(2 * own);
    const others = wait(other, { id: "team/x", timeout_seconds: 60 }, { signal: cancel.signal }).catch(
      () => "cancelled",
    );
    await underWay(2 * own + 1);
    const oldest = wait(one, { id: "team/x", timeout_seconds: 60 });
    await underWay(2 * own + 2);
    const waiting = Array.from({ length: 64 - own - 1 }, () =>
      wait(one, { id: "team/x", timeout_seconds: 60 }, { signal: cancel.signal }).catch(() => undefined),
    );
    await underWay(64 + own + 1);
    expect((await wait(one, { id: "team/x", timeout_seconds: 0 })).structuredContent).toMatchObject({
      timed_out: true,
    });
    expect(textOf(await oldest)).toMatchObject({ code: "rate_limited", retryable: true });
    await underWay(64 + own);
    cancel.abort();
    expect(await others).toBe("cancelled");
    await Promise.all(waiting);
  });
});

describe("through a proxy that cuts what is quiet for 20 seconds", () => {
  const IDLE_MS = 20_000;
  const QUIET_MS = 23_000;

  test("waits and streams of both eras live on", async () => {
    const unix = join(core.folder, "mcp.sock");
    await using behind = startMcpServer(core, { callers: { team: team() }, unix });
    await using proxy = startIdleProxy(unix, IDLE_MS);
    const url = `http://127.0.0.1:${proxy.port}/mcp`;
    // To see that such a proxy does cut: a server that never says a word behind another one.
    const quiet = join(core.folder, "quiet.sock");
    const silent = Bun.listen({ unix: quiet, socket: { data: () => {} } });
    await using cutting = startIdleProxy(quiet, IDLE_MS);
    await Bun.connect({ hostname: "127.0.0.1", port: cutting.port, socket: { data: () => {} } });
    const clients = await Promise.all(ERAS.map((era) => connect(url, era, "team")));
    await Promise.all(clients.map((one) => one.watch(["cairn:///team/x"])));
    const waiting = clients.flatMap((one) => [
      wait(one, { id: "team/x", timeout_seconds: 60 }, { timeout: 60_000 }),
      wait(one, { id: "team/x", timeout_seconds: 60 }, { timeout: 60_000, onprogress: () => {} }),
    ]);
    await until(() => waits() === clients.length + waiting.length, waits);
    const opened = proxy.opened();
    await Bun.sleep(QUIET_MS);
    expect(cutting.cut()).toBe(1);
    silent.stop(true);
    await core.call("context_put", { id: "team/x", content: 1 });
    for (const result of await Promise.all(waiting)) {
      expect(result.structuredContent).toMatchObject({ timed_out: false, changes: [{ target: "team/x" }] });
    }
    await until(
      () => clients.every((one) => one.updated.length === 1),
      () => clients.map((one) => one.updated),
    );
    // Nothing was cut and opened again.
    expect(proxy.opened()).toBe(opened);
    expect(behind.lines).toEqual([]);
    await Promise.all(clients.map((one) => one.client.close()));
  }, 60_000);
});
