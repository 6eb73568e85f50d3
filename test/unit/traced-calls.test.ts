// Traces through a node: which span a call gets on each surface, and how its trace goes on to the leader, into events
// and to their targets.

import { describe, expect, test } from "bun:test";
import { callerName } from "../../src/access/caller.ts";
import { tracedItem } from "../../src/features/event/event-trace.ts";
import { itemOf, sizeOf } from "../../src/features/event/item.ts";
import { beginDelivery, endDelivery } from "../../src/features/event/subscription/delivery-span.ts";
import { FEATURES } from "../../src/features/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { traceMembers } from "../../src/lib/trace-context.ts";
import { createMcp } from "../../src/mcp/index.ts";
import type { EndedSpan } from "../../src/observe/trace/span.ts";
import { type SpanStart, Tracer } from "../../src/observe/trace/tracer.ts";
import { beginCall, type FailedCall } from "../../src/operation/call-span.ts";
import { Forwarder } from "../../src/operation/forwarder.ts";
import { capOf } from "../../src/operation/routing.ts";
import { member } from "../kit/asking.ts";
import { localAdmin, startCore } from "../kit/core.ts";
import { sender } from "../kit/events.ts";
import { eventually } from "../kit/eventually.ts";
import { startPair } from "../kit/pair.ts";
import { refusal } from "../kit/refusal.ts";
import { startSubscriptions } from "../kit/subscriptions.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = `00-${TRACE}-00f067aa0ba902b7-01`;
const OTHER = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-01";
const never = new AbortController().signal;
const JSON_TYPES = { "content-type": "application/json", accept: "application/json, text/event-stream" };

/** A tracer that records all traces, and its spans as they end. */
function traced(ratio = 1) {
  const spans: EndedSpan[] = [];
  return { tracer: new Tracer({ ratio, sink: (span) => spans.push(span) }), spans };
}

const parentOf = (span: EndedSpan | undefined) => span && traceMembers(span.context).traceparent;
const named = (spans: readonly EndedSpan[], name: string) => spans.find((span) => span.name === name) as EndedSpan;

describe("REST", () => {
  test("a call is part of the trace of its request, and waiting for the log is part of the call", async () => {
    const { tracer, spans } = traced(0);
    await using core = startCore({ tracer });
    const headers = { "content-type": "text/plain", traceparent: PARENT, tracestate: "a=1" };
    await core.http("/contexts/a/x", { method: "PUT", body: "secret words", headers });
    const [append, put] = spans;
    expect(put).toMatchObject({
      ...{ name: "context_put", kind: "server", error: undefined },
      attributes: { "cairn.operation": "context_put", "cairn.surface": "rest" },
      parent: { traceId: TRACE, spanId: "00f067aa0ba902b7" },
      context: { traceId: TRACE, state: "a=1" },
    });
    expect(append).toMatchObject({ name: "log.append", kind: "internal", parent: put?.context });
    for (const word of ["secret", "a/x", "local", "alice"]) expect(JSON.stringify(spans)).not.toContain(word);
  });

  test("one that is not valid is left out, and a trace begins", async () => {
    const { tracer, spans } = traced();
    await using core = startCore({ tracer });
    const body = "{}";
    await core.http("/operations/whoami", {
      method: "POST",
      body,
      headers: { ...JSON_TYPES, traceparent: `${PARENT}x` },
    });
    expect(spans).toMatchObject([{ name: "whoami", parent: undefined, context: { flags: 3, isRemote: false } }]);
    expect(spans[0]?.context.traceId).not.toBe(TRACE);
  });

  test("what the caller did wrong is named, and is no error of the node", async () => {
    const { tracer, spans } = traced();
    await using core = startCore({ tracer });
    await core.http("/contexts/a/none", { headers: { traceparent: PARENT } });
    await core.http("/operations/no_such_thing", { method: "POST", body: "{}", headers: JSON_TYPES });
    await refusal(core.call("no_such_thing", {}));
    expect(spans).toMatchObject([
      { name: "context_get", attributes: { "error.type": "not_found" }, error: undefined },
      { name: "unknown", attributes: { "error.type": "unknown_operation" } },
      { name: "unknown", attributes: { "error.type": "unknown_operation" } },
    ]);
  });

  test("each refusal is reported with its trace, once, whether or not it became a call, where its span is recorded", async () => {
    const { tracer, spans } = traced();
    const failed: FailedCall[] = [];
    await using core = startCore({ tracer, onFailed: (call) => failed.push(call) });
    const headers = { ...JSON_TYPES, traceparent: PARENT };
    const stale = { ...headers, "if-match": '"9-0"' };
    const asked: [string, RequestInit, string, string][] = [
      ["/contexts/a/none", { headers }, "context_get", "not_found"],
      ["/contexts/a/x", { method: "PUT", body: "{", headers }, "context_put", "invalid_input"],
      ["/contexts/a/x", { method: "PUT", body: "1", headers: stale }, "context_put", "version_mismatch"],
      ["/contexts/a/x", { method: "POST", headers }, "unknown", "method_not_allowed"],
      ["/contexts/%zz", { headers }, "unknown", "invalid_input"],
      ["/nowhere", { headers }, "unknown", "not_found"],
      ["/operations/whoami", { method: "POST", body: "[", headers }, "unknown", "invalid_input"],
    ];
    for (const [path, init, operation, code] of asked) {
      expect((await core.http(path, init)).status).toBeGreaterThanOrEqual(400);
      expect(failed.splice(0)).toMatchObject([{ operation, surface: "rest", code, trace: { traceId: TRACE } }]);
      expect(spans.at(-1)).toMatchObject({ name: operation, attributes: { "error.type": code } });
    }
    // Neither of a trace that is not recorded, nor of what worked, nor of a step.
    await core.http("/nowhere", { headers: { traceparent: PARENT.replace(/1$/, "0") } });
    await core.http("/operations/whoami", { method: "POST", body: "{}", headers });
    const own = { traceId: TRACE, spanId: "00f067aa0ba902b7", flags: 1, state: "", isRemote: false };
    await refusal(
      core.invoker.invoke({ operation: "no_such", input: {}, caller: localAdmin, signal: never, trace: own }),
    );
    expect(failed).toEqual([]);
  });

  test("a node without a tracer looks at no header", async () => {
    await using core = startCore();
    const headers = new Proxy(new Headers({ traceparent: PARENT }), {
      get: (target, name) => {
        const found: unknown = Reflect.get(target, name);
        if (typeof found !== "function") return found;
        return (...given: unknown[]) => {
          if (String(given[0]).startsWith("trace")) throw new Error(`asked for ${String(given[0])}`);
          return found.apply(target, given);
        };
      },
    });
    const request = new Request("http://cairn/contexts/a/none");
    Object.defineProperty(request, "headers", { value: headers });
    expect((await core.api.fetch(request, localAdmin)).status).toBe(404);
  });
});

test("spans are counted by who asks: a caller, or the member that forwards for many, and not by their parts", () => {
  const asked: unknown[] = [];
  const tracer = {
    begin: (_name: string, { by }: SpanStart) => {
      asked.push(by);
      return {};
    },
  } as unknown as Tracer;
  const call = { operation: "whoami", input: {}, caller: member, signal: never };
  const trace = { traceId: TRACE, spanId: "00f067aa0ba902b7", flags: 1, state: "", isRemote: true };
  const forwarded = { via: "n1", ...capOf({ role: "central", spaces: [] }) };
  beginCall(tracer, call, "whoami");
  beginCall(tracer, { ...call, trace }, "whoami");
  beginCall(tracer, { ...call, trace, forwarded }, "whoami");
  beginCall(tracer, { ...call, trace: { ...trace, isRemote: false } }, "whoami");
  const name = callerName(member);
  expect(asked).toEqual([{ name }, { name }, { name: "via:n1", times: 20 }, undefined]);
});

describe("MCP", () => {
  const modern = "2026-07-28";
  const envelope = {
    "io.modelcontextprotocol/protocolVersion": modern,
    "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": {},
  };

  test("a call is part of the trace of its message, on each way, and is linked with that of its request", async () => {
    const { tracer, spans } = traced();
    await using core = startCore({ tracer });
    const mcp = createMcp({ invoker: core.invoker, features: FEATURES, version: "0", log: () => {} });
    const post = async (message: object, headers: Record<string, string>) => {
      const init = { method: "POST", headers: { ...JSON_TYPES, ...headers }, body: JSON.stringify(message) };
      return mcp.fetch(new Request("http://cairn/mcp", init), localAdmin);
    };
    const call = (meta: object) => {
      const params = { name: "context_put", arguments: { id: "a/x", content: "x" }, _meta: meta };
      return { jsonrpc: "2.0", id: 1, method: "tools/call", params };
    };
    const headers = { "mcp-protocol-version": modern, "mcp-method": "tools/call", "mcp-name": "context_put" };
    const own = { traceparent: PARENT, tracestate: "a=1", baggage: "user=1" };
    // The first one goes by the SDK, which then knows the envelope.
    for (const meta of [own, { ...own, traceparent: PARENT.replace("b7-", "b8-") }]) {
      const response = await post(call({ ...envelope, ...meta }), { ...headers, traceparent: OTHER });
      expect(await response.json()).toMatchObject({ result: { structuredContent: { id: "a/x" } } });
    }
    await post(call(envelope), { ...headers, traceparent: OTHER });
    // The same span twice is no link.
    await post(call({ ...envelope, traceparent: PARENT }), { ...headers, traceparent: PARENT });
    const tools = spans.filter(({ name }) => name === "tools/call context_put");
    expect(tools).toMatchObject([
      { kind: "server", parent: { spanId: "00f067aa0ba902b7" }, links: [{ spanId: "b".repeat(16) }] },
      { kind: "server", parent: { spanId: "00f067aa0ba902b8" }, links: [{ spanId: "b".repeat(16) }] },
      { kind: "server", parent: { traceId: "a".repeat(32) }, links: [] },
      { kind: "server", parent: { spanId: "00f067aa0ba902b7" }, links: [] },
    ]);
    expect(tools[0]).toMatchObject({
      context: { traceId: TRACE, state: "a=1" },
      attributes: { "cairn.surface": "mcp", "mcp.method.name": "tools/call", "gen_ai.tool.name": "context_put" },
    });
    await mcp.close();
  });

  test("so is one of a session of an older revision", async () => {
    const { tracer, spans } = traced();
    await using core = startCore({ tracer });
    const mcp = createMcp({ invoker: core.invoker, features: FEATURES, version: "0", log: () => {} });
    let session: Record<string, string> = {};
    const post = (message: object) => {
      const init = { method: "POST", headers: { ...JSON_TYPES, ...session }, body: JSON.stringify(message) };
      return mcp.fetch(new Request("http://cairn/mcp", init), localAdmin);
    };
    const version = "2025-11-25";
    const begin = { protocolVersion: version, capabilities: {}, clientInfo: { name: "older", version: "7" } };
    const opened = await post({ jsonrpc: "2.0", id: 0, method: "initialize", params: begin });
    session = { "mcp-session-id": opened.headers.get("mcp-session-id") ?? "", "mcp-protocol-version": version };
    await post({ jsonrpc: "2.0", method: "notifications/initialized" });
    const _meta = { traceparent: PARENT };
    await (
      await post({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "whoami", arguments: {}, _meta } })
    ).text();
    const resource = { uri: "cairn:///a/none", _meta };
    await (await post({ jsonrpc: "2.0", id: 2, method: "resources/read", params: resource })).text();
    expect(spans).toMatchObject([
      { name: "initialize", parent: undefined, error: undefined },
      { name: "tools/call whoami", parent: { traceId: TRACE } },
      { name: "context_get", parent: { traceId: TRACE }, attributes: { "error.type": "not_found" } },
    ]);
    await mcp.close();
  });
});

describe("a forward", () => {
  const put = (id: string) => ({
    ...{ operation: "context_put", input: { id, content: 1 }, caller: member, signal: never, surface: "rest" as const },
    trace: { traceId: TRACE, spanId: "00f067aa0ba902b7", flags: 1, state: "a=1", isRemote: true },
  });

  test("joins the spans of both nodes in one trace", async () => {
    const [here, leader] = [traced(), traced()];
    await using pair = await startPair({ tracers: { n0: leader.tracer, n1: here.tracer } });
    const [n0, n1] = pair.nodes;
    n0?.sees.set(member.id, member);
    await n1?.core.invoker.invoke(put("team-a/x"));
    const call = named(here.spans, "context_put");
    const forward = named(here.spans, "forward context_put");
    const there = named(leader.spans, "context_put");
    expect(forward).toMatchObject({ kind: "client", parent: call.context, attributes: { "cairn.member": "n0" } });
    expect(there).toMatchObject({
      ...{ kind: "server", parent: { traceId: TRACE, spanId: forward.context.spanId, isRemote: true } },
      ...{ context: { state: "a=1" }, attributes: { "cairn.surface": "peer", "cairn.forwarded": true } },
    });
    expect(named(leader.spans, "log.append").parent).toEqual(there.context);
    expect(named(here.spans, "log.apply_here").parent).toEqual(call.context);
    expect(pair.frames[0]).toMatchObject({ ...traceMembers(forward.context) });
  });

  test("goes with a read, and names no span below its level or from a node that records none", async () => {
    for (const [tracers, traceLevel] of [
      [{ n1: traced().tracer }, 2],
      [{ n0: traced().tracer }, 3],
    ] as const) {
      await using pair = await startPair({ tracers, traceLevel });
      pair.nodes[0]?.sees.set(member.id, member);
      await pair.nodes[1]?.core.invoker.invoke(put("team-a/x"));
      expect(pair.frames).toHaveLength(1);
      expect(pair.frames[0]).not.toHaveProperty("traceparent");
      expect(pair.frames[0]).not.toHaveProperty("tracestate");
    }
    const here = traced();
    await using pair = await startPair({ tracers: { n1: here.tracer } });
    pair.nodes[0]?.sees.set(member.id, member);
    const input = { id: "team-a/none", consistency: "leader" };
    await refusal(
      pair.nodes[1]?.core.invoker.invoke({ ...put(""), operation: "context_get", input }) ?? Promise.resolve(),
    );
    const forward = named(here.spans, "forward context_get");
    expect(forward).toMatchObject({ attributes: { "error.type": "not_found" } });
    expect(pair.frames[0]).toMatchObject({ operation: "context_get", ...traceMembers(forward.context) });
  });

  test("that is called off is no error of the leader, and one that it does not answer in time is", async () => {
    const { tracer, spans } = traced();
    let named = "n1";
    let moved: (() => void) | undefined;
    const forwarder = new Forwarder({
      ask: (node, _, { signal }) => {
        if (node === "n2")
          return Promise.reject(new Fault("not_found", "there is none", { facts: { fromPeer: true } }));
        return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      },
      ...{ leader: () => named, mayLead: () => true, leadsHere: () => false, withinMs: 50 },
      onLeader: (listener) => {
        moved = listener;
        return () => {};
      },
      traces: { tracer, level: () => 3 },
    });
    const forwarded = { ...put("team-a/x"), kind: "write" as const };
    const left = new AbortController();
    const leaves = refusal(forwarder.toLeader(forwarded, left.signal));
    left.abort(new Fault("cancelled", "the caller went away"));
    await leaves;
    const moves = refusal(forwarder.toLeader(forwarded, never));
    named = "n2";
    moved?.();
    await moves;
    named = "n1";
    await refusal(forwarder.toLeader(forwarded, never));
    const seen = spans.map(({ attributes, error }) => [attributes["cairn.member"], attributes["error.type"], error]);
    expect(seen).toEqual([
      ["n1", "cancelled", undefined],
      ["n1", "AbortError", undefined],
      ["n2", "not_found", "not_found"],
      ["n1", "TimeoutError", "TimeoutError"],
    ]);
  });
});

describe("an event", () => {
  const TARGET = {
    name: "ci",
    target: { kind: "http", url: "https://ci.example.com/e", auth: { type: "bearer", secret: "secret:KEY" } },
    spaces: ["team-a"],
  };
  const publish = { space: "team-a", type: "n", source: "ci" };

  async function start(tracer?: Tracer) {
    const world = startSubscriptions({}, tracer);
    await world.core.call("event_target_set", TARGET);
    await world.call("subscription_create", { id: "team-a/ci", target: "ci" });
    world.start();
    const sent = (id: string) => world.sent.find(({ body }) => body["id"] === id);
    const arrived = (id: string) => eventually(`the event ${id}`, () => sent(id));
    return { ...world, arrived, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() };
  }

  test("gets the trace of its call, which goes on to its target", async () => {
    const { tracer, spans } = traced();
    await using world = await start(tracer);
    const trace = { traceId: TRACE, spanId: "00f067aa0ba902b7", flags: 1, state: "a=1", isRemote: true };
    const { invoker } = world.core;
    const ask = (operation: string, input: object) =>
      invoker.invoke({ operation, input, caller: sender("bob"), signal: never, trace });
    await ask("event_publish", { ...publish, id: "one" });
    const { headers, body } = await world.arrived("one");
    const call = named(spans, "event_publish");
    expect(named(spans, "event_append")).toMatchObject({ kind: "internal", parent: call.context });
    const deliver = await eventually("the span of the attempt", () =>
      spans.find(({ name }) => name === "deliver http"),
    );
    expect(body).toMatchObject(traceMembers(call.context));
    expect(deliver).toMatchObject({
      ...{ kind: "client", parent: { traceId: TRACE, spanId: call.context.spanId } },
      attributes: { "cairn.target.kind": "http", "cairn.delivery.result": "delivered", "cairn.attempt": 1 },
    });
    expect(headers).toMatchObject(traceMembers(deliver.context));
    expect(JSON.stringify(spans)).not.toContain("very-secret");
  });

  test("keeps what it came with, under a key too, and a call with a key may be repeated in another trace", async () => {
    const { tracer, spans } = traced();
    await using world = await start(tracer);
    const call = (input: object, traceId: string) => {
      const trace = { traceId, spanId: "00f067aa0ba902b7", flags: 1, state: "", isRemote: true };
      return world.core.invoker.invoke({
        operation: "event_publish",
        input,
        caller: sender("bob"),
        signal: never,
        trace,
      });
    };
    const own = { ...publish, id: "own", extensions: { traceparent: OTHER, tracestate: "own=1" } };
    await call(own, TRACE);
    expect((await world.arrived("own")).body).toMatchObject({ traceparent: OTHER, tracestate: "own=1" });
    const odd = { ...publish, id: "odd", extensions: { traceparent: "odd" } };
    await call(odd, TRACE);
    expect((await world.arrived("odd")).body).toMatchObject({ traceparent: "odd" });
    // A state without a trace is that of another one, and stays alone.
    await call({ ...publish, id: "state", extensions: { tracestate: "own=1" } }, TRACE);
    const { body } = await world.arrived("state");
    expect([body["tracestate"], body["traceparent"]]).toEqual(["own=1", undefined]);
    const keyed = { ...publish, id: "keyed", idempotency_key: "key-1" };
    const [first, again] = [await call(keyed, TRACE), await call(keyed, "c".repeat(32))];
    expect(again.output).toEqual(first.output);
    const append = spans.filter(({ name, context }) => name === "event_append" && context.traceId === TRACE).at(-1);
    expect((await world.arrived("keyed")).body).toMatchObject({
      traceparent: parentOf(append),
    });
  });

  test("that has no room for a trace goes without", async () => {
    const { tracer } = traced();
    await using world = await start(tracer);
    const extensions = Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`x${index}`, "1"]));
    await world.core.call("event_publish", { ...publish, id: "full", extensions }, sender("bob"));
    const { body } = await world.arrived("full");
    expect([body["x63"], body["traceparent"]]).toEqual(["1", undefined]);
  });

  test("is passed on with its own trace where the node records none", async () => {
    await using world = await start();
    await world.core.call(
      "event_publish",
      { ...publish, id: "own", extensions: { traceparent: OTHER } },
      sender("bob"),
    );
    await world.core.call("event_publish", { ...publish, id: "none" }, sender("bob"));
    expect((await world.arrived("own")).headers["traceparent"]).toBe(OTHER);
    expect((await world.arrived("none")).headers["traceparent"]).toBeUndefined();
  });

  test("of the largest size goes without, too", () => {
    const trace = { traceId: TRACE, spanId: "00f067aa0ba902b7", flags: 1, state: "a=1", isRemote: false };
    const item = itemOf({ source: "ci", type: "n", id: "1", data: "x".repeat(100), extensions: {} }, 10_000);
    const withTrace = tracedItem(item, trace, 10_000);
    expect(withTrace.extensions).toEqual(traceMembers(trace));
    const size = sizeOf(withTrace, JSON.stringify(withTrace.extensions));
    expect(tracedItem(item, trace, size)).toEqual(withTrace);
    expect(tracedItem(item, trace, size - 1)).toBe(item);
  });

  test("that was skipped is no error, and one that its target ended is", () => {
    const { tracer, spans } = traced();
    const record = { id: "e", source: "ci", type: "n", time: "2026-11-30T08:00:00Z" };
    const delivery = { record, subscription: "team-a/ci", offset: 1, messageId: "m" };
    for (const result of ["delivered", "skipped", "ended"] as const)
      endDelivery(beginDelivery(tracer, delivery, "http", 1), { result, detail: "a detail", status: 200 });
    expect(spans.map(({ error }) => error)).toEqual([undefined, undefined, "ended"]);
    expect(JSON.stringify(spans)).not.toContain("a detail");
  });

  test("that goes with others is linked with them, with at most 32 and without their states", () => {
    const { tracer, spans } = traced();
    const untraced = { id: "e", source: "ci", type: "n", time: "2026-11-30T08:00:00Z" };
    const record = { ...untraced, traceparent: OTHER, tracestate: `a=${"x".repeat(250)}` };
    const others = [untraced, { ...untraced, traceparent: "odd" }, ...Array.from({ length: 50 }, () => record)];
    const delivery = { record, others, subscription: "team-a/ci", offset: 1, messageId: "m" };
    beginDelivery(tracer, delivery, "slack", 2).end();
    expect(spans).toMatchObject([{ parent: { state: record.tracestate }, attributes: { "cairn.attempt": 2 } }]);
    const links = spans[0]?.links ?? [];
    expect([links.length, new Set(links.map(({ state }) => state))]).toEqual([30, new Set([""])]);
  });

  test("has a span for each attempt, with how it ended", async () => {
    const { tracer, spans } = traced();
    await using world = await start(tracer);
    world.answers.push(() => new Response("no", { status: 400 }));
    await world.core.call("event_publish", { ...publish, id: "bad" }, sender("bob"));
    const deliver = await eventually("the attempt", () => spans.find(({ name }) => name === "deliver http"));
    expect(deliver).toMatchObject({
      attributes: { "http.response.status_code": 400, "error.type": "refused" },
      error: "refused",
    });
  });
});
