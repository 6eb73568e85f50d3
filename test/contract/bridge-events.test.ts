// MCP Events through `cairn bridge`: polls and streams over stdio with a real client of both eras.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { z } from "zod";
import { eventFeature } from "../../src/features/event/index.ts";
import { callerWith } from "../kit/core.ts";
import { type Events, startEvents } from "../kit/events.ts";
import { inTime } from "../kit/in-time.ts";
import { ERAS, type Era, newClient, until } from "../kit/mcp-client.ts";
import { type McpServer, startMcpServer } from "../kit/mcp-server.ts";

type Json = Record<string, unknown>;

const SUB = { name: "cairn.event", arguments: { space: "team-a" } };

let folder: string;
let events: Events;
let server: McpServer;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cairn-bridge-"));
  events = startEvents();
  const caller = callerWith({ kind: "local", id: "local:bridge", login: "" });
  const unix = join(folder, "s");
  server = startMcpServer(events.core, {
    unix,
    features: [eventFeature],
    callers: { default: caller },
    keepAliveMs: 300,
  });
});
afterEach(async () => {
  await server.stop();
  await events[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function open(era: Era) {
  const client = newClient(era);
  const seen: { what: string; params: Json }[] = [];
  for (const what of ["active", "event", "heartbeat"])
    client.setNotificationHandler(
      `notifications/events/${what}`,
      { params: z.looseObject({}) },
      (params) => void seen.push({ what, params }),
    );
  const args = [join(import.meta.dir, "../kit/bridge-main.ts"), join(folder, "s")];
  await client.connect(new StdioClientTransport({ command: process.execPath, args, stderr: "ignore" }));
  return {
    client,
    of: (what: string) => seen.filter((one) => one.what === what).map(({ params }) => params),
    ask: (method: string, params: Json, options: { signal?: AbortSignal; timeout?: number } = {}): Promise<Json> =>
      client.request({ method, params }, z.looseObject({}), options),
    [Symbol.asyncDispose]: () => client.close(),
  };
}

const publish = (n: number) => events.publish("bob", { space: "team-a", type: "build.done", data: { n } });
const numberOf = (event: Json | undefined) =>
  ((event?.["data"] as Json | undefined)?.["data"] as Json | undefined)?.["n"];

describe.each(ERAS)("%s stdio client", (era) => {
  test("polls, and streams several subscriptions at once until each is cancelled", async () => {
    await using bridge = await open(era);
    const { cursor } = await bridge.ask("events/poll", SUB);
    await publish(1);
    expect(await bridge.ask("events/poll", { ...SUB, cursor })).toMatchObject({ events: [{ name: "cairn.event" }] });
    const [first, second] = [new AbortController(), new AbortController()];
    const streams = [first, second].map(({ signal }) =>
      bridge.ask("events/stream", { ...SUB, cursor }, { signal, timeout: 60_000 }).catch(() => "cancelled"),
    );
    await until(
      () => bridge.of("event").length === 2,
      () => bridge.of("event"),
    );
    const ids = bridge.of("event").map((event) => JSON.stringify(event["_meta"]));
    expect(new Set(ids).size).toBe(2);
    const before = events.core.invoker.openStreams;
    first.abort();
    await until(
      () => events.core.invoker.openStreams === before - 1,
      () => events.core.invoker.openStreams,
    );
    await publish(2);
    await until(
      () => bridge.of("event").length === 3,
      () => bridge.of("event"),
    );
    expect(numberOf(bridge.of("event")[2])).toBe(2);
    await until(
      () => bridge.of("heartbeat").length > 0,
      () => bridge.of("heartbeat"),
    );
    second.abort();
    expect(await Promise.all(streams)).toEqual(["cancelled", "cancelled"]);
  });

  test("a stream does not keep the bridge when its client goes", async () => {
    const bridge = await open(era);
    bridge.ask("events/stream", SUB, { timeout: 60_000 }).catch(() => {});
    await until(
      () => bridge.of("active").length === 1,
      () => bridge.of("active"),
    );
    await inTime(5000, bridge.client.close());
    await until(
      () => events.core.invoker.openStreams === 0,
      () => events.core.invoker.openStreams,
      5000,
    );
  });
});
