// Sessions of the older revisions over broken connections and restarts: a client that comes back gets its stream and
// its responses, calls end with what was cancelled, and a session goes on under its id.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { z } from "zod";
import { contextFeature } from "../../src/features/context/index.ts";
import { act } from "../../src/operation/define.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import { whoami } from "../../src/operation/whoami.ts";
import { type Core, callerWith, startCore } from "../kit/core.ts";
import { startIdleProxy } from "../kit/idle-proxy.ts";
import { connect, textOf, until } from "../kit/mcp-client.ts";
import { type McpServer, startMcpServer } from "../kit/mcp-server.ts";
import { Raw, readStream, responses, type Stream, updates } from "../kit/raw-session.ts";

const URI = "cairn:///team/a";

const started: string[] = [];
const finished: string[] = [];
let letGo = Promise.withResolvers<void>();
/** Ends when the test says so, whether or not a client still listens. */
const slow = act({
  name: "slow",
  title: "Slow",
  description: "Waits to be let go.",
  input: z.object({ name: z.string() }),
  output: z.object({ done: z.string() }),
  access: { verb: "read", spaces: "visible" },
  run: async ({ name }, { signal }) => {
    started.push(name);
    const cancelled = Promise.withResolvers<never>();
    signal.addEventListener("abort", () => cancelled.reject(signal.reason));
    await Promise.race([letGo.promise, cancelled.promise]);
    finished.push(name);
    return { done: name };
  },
});

const team = callerWith({ id: "nTEAM", login: "t@x", grants: [{ role: "member", spaces: ["team"] }] });

/** Waits until a stream has had this many updates. */
const updated = (stream: Stream, count: number) =>
  until(
    () => updates(stream).length >= count,
    () => stream.events,
  );

let core: Core;
let server: McpServer;

beforeEach(() => {
  letGo = Promise.withResolvers();
  started.length = 0;
  finished.length = 0;
  core = startCore({ operations: [...operationsOf([contextFeature]), whoami, slow] });
  server = startMcpServer(core, { callers: { team, bob: callerWith({ id: "nBOB", login: "bob@x", own: true }) } });
});

afterEach(async () => {
  await server.stop();
  await core[Symbol.asyncDispose]();
});

const put = (content: number) => core.call("context_put", { id: "team/a", content });
const running = () => core.invoker.openStreams;
const runs = (count: number) => until(() => running() === count, running);

describe("the stream of notifications", () => {
  test("is there at once for the owner whose connection died, however often, and only the newest one is used", async () => {
    const raw = await new Raw(server.url).open();
    await raw.ask("resources/subscribe", { uri: URI });
    const streams: Stream[] = [];
    for (let n = 1; n <= 4; n++) {
      const stream = await raw.stream();
      expect(stream.status).toBe(200);
      streams.push(stream);
      await put(n);
      await updated(stream, 1);
    }
    // Of connections that may be dead it keeps one; each holds a place of the caller.
    await until(
      () => streams.filter((stream) => stream.ended()).length === 2,
      () => streams.map((stream) => stream.ended()),
    );
    await runs(2);
    expect(streams.map((stream) => stream.ended())).toEqual([true, true, false, false]);
    // The third had one of its own and the fourth what was written since.
    expect(updates(streams[2] as Stream)).toHaveLength(2);
    // The newest goes, and the one before is used again.
    streams[3]?.abort();
    await runs(1);
    await put(9);
    await updated(streams[2] as Stream, 3);
    streams[2]?.abort();
    await runs(0);
  });

  test("comes back for a real client whose network lost its connections without a word to the node", async () => {
    const unix = join(core.folder, "mcp.sock");
    await using behind = startMcpServer(core, { callers: { team }, unix });
    await using proxy = startIdleProxy(unix, Number.POSITIVE_INFINITY);
    await using one = await connect(`http://127.0.0.1:${proxy.port}/mcp`, "legacy", "team");
    await one.watch([URI]);
    await runs(1);
    await put(1);
    const seen = () => one.updated;
    await until(() => one.updated.length === 1, seen);
    for (let n = 1; n <= 3; n++) {
      proxy.lose();
      // Written to a connection that is dead.
      await put(n + 1);
      await until(() => one.updated.length === n + 1, seen, 10_000);
    }
    expect(behind.lines.filter((line) => line.startsWith("error"))).toEqual([]);
  });

  test("what was written to a connection that died is not lost without Last-Event-ID", async () => {
    const raw = await new Raw(server.url).open();
    await raw.ask("resources/subscribe", { uri: URI });
    await using first = await raw.stream();
    await put(1);
    await updated(first, 1);
    await using second = await raw.stream();
    await updated(second, 1);
    const seen = second.events.at(-1)?.id;
    await using third = await raw.stream(seen);
    await put(2);
    await updated(third, 1);
    expect(updates(third)).toEqual([URI]);
  });

  test("a dead connection gives its place back where its owner has no other", async () => {
    await using small = startCore({ streamsPerCaller: 1 });
    await using own = startMcpServer(small, { callers: { team } });
    const raw = await new Raw(own.url).open();
    await using first = await raw.stream();
    await using second = await raw.stream();
    expect(second.status).toBe(200);
    await until(first.ended, () => first.events);
    const other = await new Raw(own.url).open();
    await using refused = await other.stream();
    expect(refused.status).toBe(429);
  });

  test("goes on beside the rest of a response that a client came back for", async () => {
    const raw = await new Raw(server.url).open();
    await raw.ask("resources/subscribe", { uri: URI });
    await using notices = await raw.stream();
    const abort = new AbortController();
    const call = await readStream(raw.call(7, "slow", { name: "kept" }, abort.signal), abort);
    const place = () => call.events[0]?.id;
    await until(() => place() !== undefined, place);
    call.abort();
    await using rest = await raw.stream(place());
    await put(1);
    await updated(notices, 1);
    letGo.resolve();
    await until(
      () => rest.ended(),
      () => rest.events,
    );
    expect(responses(rest)).toMatchObject([{ id: 7, result: { structuredContent: { done: "kept" } } }]);
    await put(2);
    await updated(notices, 2);
    expect(updates(rest)).toEqual([]);
    // A client that has the response and comes back all the same gets nothing twice.
    await using again = await raw.stream(rest.events.at(-1)?.id);
    await until(
      () => again.ended(),
      () => again.events,
    );
    expect([again.status, again.events]).toEqual([200, []]);
    await put(3);
    await updated(notices, 3);
  });

  test.each([
    ["2025-11-25", true],
    ["2099-01-01", true],
    ["2025-06-18", false],
  ])("of a client that asked for %s begins with an event id: %p", async (asked, begins) => {
    const raw = await new Raw(server.url).open("team", asked);
    await raw.ask("resources/subscribe", { uri: URI });
    await using stream = await raw.stream();
    await put(1);
    await updated(stream, 1);
    expect(stream.events[0]?.message === undefined).toBe(begins);
    expect(stream.events.map(({ id }) => id)).not.toContain(undefined);
  });

  test.each(["nonsense", "7", "12.abc", "1.00000000.*", `${"1".repeat(16)}.00000000.`])(
    "Last-Event-ID %p is refused with what to do",
    async (lastEventId) => {
      const raw = await new Raw(server.url).open();
      const response = await fetch(server.url, {
        headers: { ...raw.headers, accept: "text/event-stream", "last-event-id": lastEventId },
      });
      const { error } = (await response.json()) as { error: { message: string } };
      expect([response.status, error.message]).toEqual([400, expect.stringContaining(JSON.stringify(lastEventId))]);
      expect(error.message).toContain("open the stream without it");
    },
  );
});

test("a URI that is too long is not watched", async () => {
  const raw = await new Raw(server.url).open();
  const subscribe = (uri: string) => raw.ask("resources/subscribe", { uri });
  expect(await subscribe(`cairn:///team/${encodeURIComponent("ä".repeat(250))}?lines=1-2`)).toHaveProperty("result");
  expect(await subscribe(`${URI}?lines=${"1".repeat(3000)}`)).toMatchObject({
    error: { code: -32602, message: expect.stringContaining("2048 are allowed") },
  });
});

describe("calls", () => {
  test("short answers are plain JSON without event ids, in one message or many", async () => {
    const raw = await new Raw(server.url).open();
    const asked = [
      { id: 1, method: "ping" },
      { id: "two", method: "tools/list" },
      { id: 3, method: "resources/read", params: { uri: URI } },
      { id: 4, method: "nonsense" },
      { id: 5, method: "tools/call", params: { name: "whoami", arguments: {} } },
    ];
    for (const message of asked) {
      const response = await raw.post(message);
      expect([message.method, response.headers.get("content-type")]).toEqual([
        message.method,
        expect.stringContaining("application/json"),
      ]);
      expect(response.headers.get("mcp-session-id")).toBe(raw.headers["mcp-session-id"] ?? "");
      expect(await response.json()).toMatchObject({ jsonrpc: "2.0", id: message.id });
    }
    const batch = await raw.post(asked.map((message) => ({ jsonrpc: "2.0", ...message })));
    const all = (await batch.json()) as { id: unknown }[];
    expect(all.map(({ id }) => id).toSorted()).toEqual([1, 3, 4, 5, "two"]);
    const many = await raw.post(Array.from({ length: 101 }, (_, id) => ({ jsonrpc: "2.0", id, method: "ping" })));
    expect([many.status, await many.text()]).toEqual([
      400,
      expect.stringContaining("101 messages, and 100 are allowed"),
    ]);
  });

  test("the stream of a cancelled call closes, whether it waits or works", async () => {
    const raw = await new Raw(server.url).open();
    const calls = [
      [1, "context_wait", { id: "team/a", timeout_seconds: 300 }],
      [2, "slow", { name: "worked" }],
    ] as const;
    for (const [id, name, input] of calls) {
      await using call = await readStream(raw.call(id, name, input), new AbortController());
      expect([call.type, call.ended()]).toEqual(["text/event-stream", false]);
      await raw.post({ method: "notifications/cancelled", params: { requestId: id } });
      await until(call.ended, () => call.events);
      expect(responses(call)).toEqual([]);
      const place = call.events.at(-1)?.id;
      if (place === undefined) continue;
      // A client that comes back for it is not left to wait.
      await using rest = await raw.stream(place);
      await until(rest.ended, () => rest.events);
      expect(responses(rest)).toMatchObject([{ id, error: { data: { retryable: true } } }]);
    }
    await runs(0);
  });

  test("a call that is cancelled before anything was sent gets a stream that is over", async () => {
    const raw = await new Raw(server.url).open();
    const call = raw.call(1, "slow", { name: "early" });
    await until(
      () => started.length === 1,
      () => started,
    );
    await raw.post({ method: "notifications/cancelled", params: { requestId: 1 } });
    await using read = await readStream(call, new AbortController());
    expect(read.type).toBe("text/event-stream");
    await until(read.ended, () => read.events);
    expect(responses(read)).toEqual([]);
  });

  test("a wait ends with its connection, an act does not", async () => {
    const raw = await new Raw(server.url).open();
    const abort = new AbortController();
    const wait = await readStream(
      raw.call(1, "context_wait", { id: "team/a", timeout_seconds: 300 }, abort.signal),
      abort,
    );
    expect(wait.type).toBe("text/event-stream");
    await runs(1);
    wait.abort();
    await runs(0);
    // Nothing of it can be resumed, so nothing makes its client try.
    expect(wait.events.filter(({ id }) => id !== undefined)).toEqual([]);
    const gone = new AbortController();
    const act = raw.call(2, "slow", { name: "goes on" }, gone.signal).catch(() => "gone");
    await until(
      () => started.includes("goes on"),
      () => started,
    );
    gone.abort();
    expect(await act).toBe("gone");
    // An id that is too long for the name of a stream makes a response that cannot be resumed, and no other call.
    const long = new AbortController();
    const unnamed = await readStream(raw.call("x".repeat(400), "slow", { name: "unnamed" }, long.signal), long);
    expect(unnamed.type).toBe("text/event-stream");
    unnamed.abort();
    expect(await raw.ask("ping")).toMatchObject({ result: {} });
    letGo.resolve();
    await until(
      () => finished.length === 2,
      () => finished,
    );
    expect(finished).toEqual(["goes on", "unnamed"]);
    expect(unnamed.events.filter(({ id }) => id !== undefined)).toEqual([]);
  });

  test("a wait of a client that takes JSON alone ends with its connection too", async () => {
    const raw = await new Raw(server.url).open();
    const gone = new AbortController();
    raw.headers = { ...raw.headers, accept: "application/json" };
    const wait = raw.call(1, "context_wait", { id: "team/a", timeout_seconds: 300 }, gone.signal).catch(() => "gone");
    await runs(1);
    gone.abort();
    expect(await wait).toBe("gone");
    await runs(0);
  });
});

describe("a restart of the node", () => {
  const file = () => join(core.folder, "mcp-sessions.jsonl");
  const start = (port?: number) =>
    startMcpServer(core, {
      callers: { team, bob: callerWith({ id: "nBOB", login: "bob@x", own: true }) },
      sessionsFile: file(),
      ...(port === undefined ? {} : { port }),
    });

  test("a real client goes on with its session, and hears of what changed meanwhile and later", async () => {
    const first = start();
    const port = Number(new URL(first.url).port);
    await using one = await connect(first.url, "legacy", "team");
    const id = one.transport.sessionId ?? "";
    // Some clients give a server up at the first error that their SDK reports.
    const errors: unknown[] = [];
    one.client.onerror = (error) => errors.push(error);
    await one.watch([URI]);
    await first.stop();
    await put(1);
    await using second = start(port);
    const answer = await one.client.callTool({ name: "context_get", arguments: { id: "team/a" } });
    expect(textOf(answer)).toMatchObject({ content: 1 });
    expect(one.transport.sessionId).toBe(id);
    const seen = () => one.updated;
    await until(() => one.updated.length === 1, seen, 20_000);
    await put(2);
    await until(() => one.updated.length === 2, seen);
    expect(one.updated).toEqual([URI, URI]);
    expect(errors).toEqual([]);
    await one.client.unsubscribeResource({ uri: URI });
    await second.stop();
  });

  test("a kill loses no session, and a call that was running is not waited for in vain", async () => {
    const killed = start();
    const raw = await new Raw(killed.url).open();
    const call = await readStream(raw.call(7, "slow", { name: "lost" }), new AbortController());
    await until(
      () => call.events.length > 0,
      () => call.events,
    );
    const notices = await raw.stream();
    await until(
      () => notices.events.length > 0,
      () => notices.events,
    );
    await raw.ask("resources/subscribe", { uri: URI });
    // As after a kill: nothing of the first one is closed when the second one begins.
    await using second = start();
    const back = new Raw(second.url);
    back.headers = raw.headers;
    await using rest = await back.stream(call.events.at(-1)?.id);
    await until(rest.ended, () => rest.events);
    expect(responses(rest)).toMatchObject([{ id: 7, error: { message: expect.stringContaining("call it again") } }]);
    // A place of before says nothing of what was missed, so all that is watched may have changed.
    await using again = await back.stream(notices.events.at(-1)?.id);
    await updated(again, 1);
    expect(updates(again)).toEqual([URI]);
    // Nor does a client that names none know what changed while nothing was sent to it.
    await using third = start();
    const fresh = new Raw(third.url);
    fresh.headers = raw.headers;
    await using unnamed = await fresh.stream();
    await updated(unnamed, 1);
    letGo.resolve();
    await killed.stop();
  });

  test("a session stays its owner's, and one that was ended stays so", async () => {
    const first = start();
    const mine = await new Raw(first.url).open();
    const deleted = await new Raw(first.url).open();
    const bobs = await new Raw(first.url).open("bob");
    expect((await fetch(first.url, { method: "DELETE", headers: deleted.headers })).status).toBe(200);
    first.mcp.callersChanged(["nBOB"]);
    await first.stop();
    await using second = start();
    const status = async (headers: Record<string, string>) => {
      const raw = new Raw(second.url);
      raw.headers = headers;
      const answers = [await raw.post({ id: 1, method: "ping" }), await raw.call(2, "whoami", {})];
      return answers.map((answer) => answer.status);
    };
    expect(await status({ ...mine.headers, "x-test-caller": "bob" })).toEqual([404, 404]);
    expect(await status(deleted.headers)).toEqual([404, 404]);
    expect(await status(bobs.headers)).toEqual([404, 404]);
    expect(await status(mine.headers)).toEqual([200, 200]);
    // Rights that changed end it, used again or not.
    second.mcp.callersChanged(["nTEAM"]);
    expect(await status(mine.headers)).toEqual([404, 404]);
  });
});
