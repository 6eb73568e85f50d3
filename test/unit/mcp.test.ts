// Parts of the MCP endpoint that need no server: the metered stream, subscribers that do not read, missed changes, kept
// events, sessions that age.

import { describe, expect, spyOn, test } from "bun:test";
import { isLegacyRequest, type JSONRPCMessage, type ServerContext } from "@modelcontextprotocol/server";
import { FEATURES } from "../../src/features/index.ts";
import { NOTICES, nameOf, RecentEvents, requestsOf } from "../../src/mcp/event-store.ts";
import { meterFlow } from "../../src/mcp/flow.ts";
import { notifyProgress } from "../../src/mcp/progress.ts";
import { Prompts } from "../../src/mcp/prompts.ts";
import { isPlainlyModern } from "../../src/mcp/request.ts";
import { ResourceIndex } from "../../src/mcp/resource-index.ts";
import { Resources } from "../../src/mcp/resources.ts";
import { Sessions } from "../../src/mcp/sessions.ts";
import { MAX_WATCHED, Subscriptions } from "../../src/mcp/subscriptions.ts";
import { Tools } from "../../src/mcp/tools.ts";
import { type Core, granted, localAdmin, startCore } from "../kit/core.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const settle = () => Bun.sleep(1);
const index = new ResourceIndex(FEATURES.filter(({ apart }) => apart !== true));

describe("metered stream", () => {
  function setup() {
    const calls = { idle: 0, end: 0 };
    let source: ReadableStreamDefaultController<Uint8Array> | undefined;
    let cancelled: unknown;
    const inner = new ReadableStream<Uint8Array>({
      start: (controller) => {
        source = controller;
      },
      cancel: (reason) => {
        cancelled = reason;
      },
    });
    const flow = meterFlow(
      inner,
      () => calls.idle++,
      () => calls.end++,
    );
    return { calls, flow, source, cancelled: () => cancelled, reader: flow.body.getReader() };
  }

  test("is idle only while the reader waits for more", async () => {
    const { calls, flow, source, reader } = setup();
    await settle();
    expect([flow.idle(), calls.idle]).toEqual([false, 0]);
    const first = reader.read();
    await settle();
    expect([flow.idle(), calls.idle]).toEqual([true, 1]);
    source?.enqueue(bytes("a"));
    source?.enqueue(bytes("b"));
    flow.wrote();
    expect(flow.idle()).toBe(false);
    await first;
    await settle();
    expect(flow.idle()).toBe(false);
    await reader.read();
    await settle();
    expect([flow.idle(), calls.idle]).toEqual([false, 1]);
    reader.read().catch(() => {});
    await settle();
    expect([flow.idle(), calls.idle]).toEqual([true, 2]);
  });

  test("ends once, from either side", async () => {
    const one = setup();
    one.source?.close();
    expect((await one.reader.read()).done).toBe(true);
    expect(one.calls.end).toBe(1);
    const two = setup();
    await two.reader.cancel("gone");
    expect([two.calls.end, two.cancelled()]).toEqual([1, "gone"]);
    expect(two.flow.idle()).toBe(false);
  });
});

describe("subscribers", () => {
  function subscribe(core: Core, subscriptions: Subscriptions, caller = localAdmin) {
    const sent: string[] = [];
    const state = { free: true, caller };
    const subscriber = subscriptions.open({
      agentKey: () => undefined,
      caller: () => state.caller,
      free: () => state.free,
      updated: (uri) => void sent.push(uri),
      listChanged: () => void sent.push("(list)"),
    });
    return { sent, state, subscriber, core };
  }

  test("one who does not read holds a set, not a queue", async () => {
    await using core = startCore();
    const subscriptions = new Subscriptions(core.invoker, index, () => {});
    const { sent, state, subscriber } = subscribe(core, subscriptions);
    subscriber.wantsList = true;
    for (let i = 0; i < 3; i++) subscriber.watch(`cairn:///s/${i}`);
    state.free = false;
    await Promise.all(
      Array.from({ length: 900 }, (_, i) => core.call("context_put", { id: `s/${i % 3}`, content: i })),
    );
    expect(sent).toEqual([]);
    state.free = true;
    subscriber.flush();
    expect(sent.toSorted()).toEqual(["(list)", "cairn:///s/0", "cairn:///s/1", "cairn:///s/2"]);
    subscriber.flush();
    expect(sent.length).toBe(4);
    subscriptions.close();
  });

  test("rights are judged at delivery, by the policy of that moment", async () => {
    await using core = startCore();
    const subscriptions = new Subscriptions(core.invoker, index, () => {});
    const { sent, state, subscriber } = subscribe(core, subscriptions, granted({ role: "reader", spaces: ["s"] }));
    subscriber.watch("cairn:///s/a");
    state.free = false;
    await core.call("context_put", { id: "s/a", content: 1 });
    state.caller = granted({ role: "reader", spaces: ["other"] });
    state.free = true;
    subscriber.flush();
    expect(sent).toEqual([]);
    await core.call("context_put", { id: "s/a", content: 2 });
    expect(sent).toEqual([]);
    state.caller = granted({ role: "reader", spaces: ["s"] });
    await core.call("context_put", { id: "s/a", content: 3 });
    expect(sent).toEqual(["cairn:///s/a"]);
    subscriptions.close();
  });

  test("a grant for other tools than reading delivers nothing", async () => {
    await using core = startCore();
    const subscriptions = new Subscriptions(core.invoker, index, () => {});
    const caller = granted({ role: "member", spaces: ["*"], tools: ["context_put"] });
    const { sent, subscriber } = subscribe(core, subscriptions, caller);
    subscriber.wantsList = true;
    subscriber.watch("cairn:///s/a");
    await core.call("context_put", { id: "s/a", content: 1 });
    expect(sent).toEqual([]);
    subscriptions.close();
  });

  test("watches a bounded number, and leaves nothing behind when it closes", async () => {
    await using core = startCore();
    const subscriptions = new Subscriptions(core.invoker, index, () => {});
    const { sent, subscriber } = subscribe(core, subscriptions);
    for (let i = 0; i < MAX_WATCHED; i++) subscriber.watch(`cairn:///s/${i}`);
    subscriber.watch("cairn:///s/0");
    expect(() => subscriber.watch("cairn:///s/one-more")).toThrow("256");
    subscriber.unwatch("cairn:///s/0");
    subscriber.watch("cairn:///s/one-more");
    subscriber.close();
    await core.call("context_put", { id: "s/1", content: 1 });
    expect(sent).toEqual([]);
  });

  test("a resource is the same in every spelling, and each is notified as it was asked for", async () => {
    await using core = startCore();
    const subscriptions = new Subscriptions(core.invoker, index, () => {});
    const { sent, subscriber } = subscribe(core, subscriptions);
    for (const uri of ["cairn:///s/a", "cairn://s/a", "cairn:///s%2Fa"]) subscriber.watch(uri);
    await core.call("context_put", { id: "s/a", content: 1 });
    expect(sent.toSorted()).toEqual(["cairn:///s%2Fa", "cairn:///s/a", "cairn://s/a"]);
    subscriber.unwatch("cairn:///s/a");
    await core.call("context_put", { id: "s/a", content: 2 });
    expect(sent.slice(3).toSorted()).toEqual(["cairn:///s%2Fa", "cairn://s/a"]);
    subscriptions.close();
  });

  test("changes that are gone tell everybody to look", async () => {
    await using core = startCore();
    const lines: string[] = [];
    let fail = false;
    const changes = {
      ...core.invoker.changes,
      head: () => core.invoker.changes.head(),
      onApplied: (listener: () => void) => core.invoker.changes.onApplied(listener),
      cursor: () => {
        const cursor = core.invoker.changes.cursor();
        return {
          wait: cursor.wait,
          next: (max: number) => {
            if (!fail) return cursor.next(max);
            fail = false;
            throw new Error("gone");
          },
        };
      },
    };
    const invoker = new Proxy(core.invoker, {
      get: (target, key) => {
        if (key === "changes") return changes;
        const value = Reflect.get(target, key, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const subscriptions = new Subscriptions(invoker, index, (_level, message) => lines.push(message));
    const { sent, subscriber } = subscribe(core, subscriptions);
    subscriber.watch("cairn:///s/a");
    subscriber.watch("cairn:///s/b");
    fail = true;
    await core.call("context_put", { id: "other/x", content: 1 });
    expect(sent.toSorted()).toEqual(["cairn:///s/a", "cairn:///s/b"]);
    expect(lines.length).toBe(1);
    await core.call("context_put", { id: "s/a", content: 1 });
    expect(sent.length).toBe(3);
    subscriptions.close();
  });
});

describe("kept events", () => {
  const message = (n: number, size = 1): JSONRPCMessage => ({
    jsonrpc: "2.0",
    method: "m",
    params: { n, x: "x".repeat(size) },
  });
  const numbers = (store: RecentEvents, after: string) => {
    const place = store.place(after);
    if (place === undefined) throw new Error(`${after} is no event id`);
    return store.after(place).map(({ message: kept }) => "params" in kept && kept.params?.["n"]);
  };

  test("come back in order, of one stream only", () => {
    const store = new RecentEvents();
    const first = store.keep("a", message(1));
    const mark = store.mark("a");
    store.keep("b", message(2));
    const last = store.keep("a", message(3), true);
    expect(numbers(store, first)).toEqual([3]);
    expect(numbers(store, mark)).toEqual([3]);
    expect(numbers(store, last)).toEqual([]);
    expect(store.place(first)).toMatchObject({ stream: "a", isLast: false, isOurs: true, isWhole: true });
    expect(store.place(last)).toMatchObject({ stream: "a", isLast: true });
    for (const none of ["nonsense", "../../x", "", "1", `${first}/`, `${"9".repeat(16)}.a`]) {
      expect(store.place(none)).toBeUndefined();
    }
  });

  test("of another run, dropped or never given out are not taken for those of this one", () => {
    const store = new RecentEvents();
    const other = new RecentEvents();
    const theirs = other.keep(NOTICES, message(1));
    store.keep(NOTICES, message(1));
    expect(store.place(theirs)).toMatchObject({ stream: NOTICES, isOurs: false, isWhole: false });
    expect(numbers(store, theirs)).toEqual([]);
    const second = store.keep(NOTICES, message(2));
    for (let n = 3; n <= 130; n++) store.keep(NOTICES, message(n));
    expect(store.place(second)).toMatchObject({ isOurs: true, isWhole: true });
    store.keep(NOTICES, message(131));
    expect(store.place(second)).toMatchObject({ isOurs: true, isWhole: false });
    expect(store.place(second.replace(/^2/, "999"))).toMatchObject({ isOurs: false });
  });

  test("a stream of a response is named by its requests", () => {
    for (const ids of [[1], ["a/b+c", 7], [""]]) expect(requestsOf(nameOf(ids) ?? "")).toEqual(ids);
    expect(nameOf(["x".repeat(300)])).toBeUndefined();
    for (const none of [NOTICES, "abc", Buffer.from('{"ids":[{}]}').toString("base64url")]) {
      expect(requestsOf(none)).toEqual([]);
    }
  });

  test("are bounded in number and bytes", () => {
    const store = new RecentEvents();
    for (let i = 0; i < 1000; i++) store.keep("a", message(i));
    expect(store.size).toBe(128);
    store.keep("a", message(1, 1_000_000));
    expect(store.size).toBe(128);
    for (let i = 0; i < 100; i++) store.keep("a", message(i, 30_000));
    expect(store.size).toBeLessThan(5);
  });
});

test("progress comes before clients that wait 5 s give up, however seldom keep-alives are", () => {
  using timers = spyOn(globalThis, "setInterval");
  const mcpReq = { _meta: { progressToken: 1 }, notify: async () => {} };
  for (const everyMs of [10_000, 40]) notifyProgress({ mcpReq } as unknown as ServerContext, {}, everyMs)();
  expect(timers.mock.calls.map(([, everyMs]) => everyMs)).toEqual([4000, 40]);
});

test("a session that no one used for long is closed, one with an open stream is not", async () => {
  await using core = startCore();
  let nowMs = 1_000_000;
  const subscriptions = new Subscriptions(core.invoker, index, () => {});
  const tools = new Tools(core.invoker);
  const parts = {
    invoker: core.invoker,
    instructions: [],
    urlArguments: [],
    version: "0",
    tools,
    index,
    resources: new Resources(core.invoker, index),
    prompts: new Prompts(core.invoker, tools, []),
    subscriptions,
    fixtures: undefined,
    keepAliveMs: 10_000,
  };
  const sessions = new Sessions(
    () => parts,
    () => {},
    {
      limits: { perCaller: 2, overall: 3, idleMs: 1000 },
      nowMs: () => nowMs,
    },
  );
  const open = async (caller = localAdmin) => {
    const body = {
      jsonrpc: "2.0",
      id: 0,
      method: "initialize",
      params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "x", version: "0" } },
    };
    const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
    const response = await sessions.handle(new Request("http://x/mcp", { method: "POST", headers }), body, caller);
    return response.headers.get("mcp-session-id") ?? "";
  };
  const streaming = await open();
  const headers = { accept: "text/event-stream", "mcp-session-id": streaming };
  const stream = await sessions.handle(new Request("http://x/mcp", { headers }), undefined, localAdmin);
  await open();
  expect(sessions.size).toBe(2);
  nowMs += 5000;
  sessions.closeIdle();
  await settle();
  expect(sessions.size).toBe(1);
  await stream.body?.cancel();
  nowMs += 5000;
  sessions.closeIdle();
  await settle();
  expect(sessions.size).toBe(0);
  for (const id of ["nA", "nA", "nA", "nB", "nC"]) {
    await open({ ...localAdmin, kind: "tagged", id });
    await settle();
  }
  expect(sessions.size).toBe(3);
  await sessions.close();
  subscriptions.close();
});

test("what is plainly modern is never what the SDK calls legacy", async () => {
  const envelope = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const methods = ["tools/call", "server/discover", "ping", "initialize", "subscriptions/listen", "no/such", ""];
  const params = [
    undefined,
    {},
    { _meta: {} },
    { _meta: envelope },
    { _meta: { ...envelope, "io.modelcontextprotocol/protocolVersion": "1999" } },
  ];
  const versions = [undefined, "2026-07-28", " 2026-07-28 ", "2025-11-25", "9999-01-01"];
  let plain = 0;
  for (const method of methods)
    for (const given of params)
      for (const version of versions) {
        const headers: Record<string, string> = version === undefined ? {} : { "mcp-protocol-version": version };
        const request = new Request("http://x/mcp", {
          method: "POST",
          headers: { ...headers, "content-type": "application/json" },
        });
        if (!isPlainlyModern(request, method)) continue;
        plain++;
        expect(
          await isLegacyRequest(request, {
            jsonrpc: "2.0",
            id: 1,
            method,
            ...(given === undefined ? {} : { params: given }),
          }),
        ).toBe(false);
      }
  expect(plain).toBe(60);
});
