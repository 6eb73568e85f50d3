// Spans on their way to a collector: what it gets, what becomes of them where it does not take them, and that what
// waits is bounded.

import { describe, expect, test } from "bun:test";
import { Exporter, type ExporterOptions, MAX_BATCH, MAX_WAITING } from "../../src/observe/trace/exporter.ts";
import { inSpan, Tracer } from "../../src/observe/trace/tracer.ts";
import { TestCollector } from "../kit/collector.ts";
import { eventually } from "../kit/eventually.ts";

const RESOURCE = { attributes: { "service.name": "cairn" }, scope: { name: "cairn", version: "1" } };

/** An exporter to a collector, the tracer before it, and what was said and waited for. */
function open(collector: TestCollector, changes: Partial<ExporterOptions> = {}) {
  const states: string[] = [];
  const waits: number[] = [];
  const exporter = new Exporter({
    post: (body, signal) =>
      fetch(`http://${collector.host}/v1/traces`, {
        ...{ method: "POST", body: Buffer.from(body), signal },
        headers: { "content-type": "application/json" },
      }),
    resource: () => RESOURCE,
    timeoutMs: 2000,
    onState: (problem) => states.push(problem),
    pauseFor: async (ms) => {
      waits.push(ms);
    },
    collectMs: 1,
    ...changes,
  });
  const tracer = new Tracer({ ratio: 1, sink: (span) => exporter.add(span) });
  return { exporter, tracer, states, waits };
}

const one = (tracer: Tracer, name = "whoami") => tracer.begin(name, { kind: "server", parent: undefined }).end();

test("a collector gets spans as the JSON mapping of OTLP has them", async () => {
  await using collector = new TestCollector();
  const { exporter, tracer } = open(collector);
  const remote = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7", flags: 1 };
  const parent = { ...remote, state: "a=1", isRemote: true };
  const beforeNs = BigInt(Date.now()) * 1_000_000n;
  const span = tracer.begin("context_put", {
    ...{ kind: "server", parent, links: [{ ...parent, spanId: "00f067aa0ba902b8" }] },
    attributes: { "cairn.surface": "rest", n: 7, share: 0.5, ok: true },
  });
  await expect(
    inSpan(tracer, span.context, "log.append", () => Promise.reject(new TypeError("secret"))),
  ).rejects.toThrow();
  span.end({ "error.type": "internal" }, "internal");
  span.end({ twice: true });
  await exporter.close(2000);
  expect(collector.problems).toEqual([]);
  const [inner, outer] = collector.spans;
  expect(outer).toMatchObject({
    ...{ traceId: remote.traceId, parentSpanId: remote.spanId, traceState: "a=1", name: "context_put", kind: 2 },
    flags: 0x301,
    attributes: { "cairn.surface": "rest", n: "7", share: 0.5, ok: true, "error.type": "internal" },
    links: [{ traceId: remote.traceId, spanId: "00f067aa0ba902b8", traceState: "a=1", flags: 0x301 }],
    status: { code: 2, message: "internal" },
    resource: { "service.name": "cairn" },
  });
  expect(outer?.attributes).not.toHaveProperty("twice");
  expect(inner).toMatchObject({ parentSpanId: outer?.spanId, kind: 1, flags: 0x101, status: { message: "TypeError" } });
  expect(JSON.stringify(collector.spans)).not.toContain("secret");
  const startNs = BigInt(outer?.startTimeUnixNano ?? 0);
  expect(startNs - beforeNs < 60_000_000_000n && startNs - beforeNs > -1_000_000_000n).toBe(true);
  expect(BigInt(outer?.endTimeUnixNano ?? 0) >= BigInt(inner?.endTimeUnixNano ?? 0)).toBe(true);
  expect(exporter.counts).toEqual({ sent: 2, failed: 0, dropped: 0 });
});

describe("a trace", () => {
  test("that begins here is recorded by its share, and so are all spans of it", () => {
    const ended: string[] = [];
    const tracer = new Tracer({ ratio: 0.25, sink: ({ name }) => ended.push(name) });
    let recorded = 0;
    for (let count = 0; count < 4000; count += 1) {
      const span = tracer.begin("a", { kind: "server", parent: undefined });
      const inner = tracer.begin("b", { kind: "internal", parent: span.context });
      expect(inner.context.traceId).toBe(span.context.traceId);
      inner.end();
      span.end();
      if ((span.context.flags & 1) === 1) recorded += 1;
    }
    expect(recorded).toBeGreaterThan(800);
    expect(recorded).toBeLessThan(1200);
    expect(ended).toHaveLength(2 * recorded);
  });

  test("that its caller began is recorded as its caller says", () => {
    const parent = {
      traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
      spanId: "00f067aa0ba902b7",
      state: "",
      isRemote: true,
    };
    for (const flags of [0, 1]) {
      const ended: string[] = [];
      const tracer = new Tracer({ ratio: 1 - flags, sink: ({ name }) => ended.push(name) });
      tracer.begin("a", { kind: "server", parent: { ...parent, flags } }).end();
      expect(ended).toEqual(flags === 1 ? ["a"] : []);
    }
  });
});

describe("a collector that does not take spans", () => {
  test("for now gets the same ones again, after the wait that it asks for", async () => {
    await using collector = new TestCollector();
    const { exporter, tracer, states, waits } = open(collector);
    collector.answers.push(() => new Response("slow down", { status: 429, headers: { "retry-after": "7" } }));
    collector.answers.push(() => new Response(null, { status: 503 }));
    one(tracer);
    await eventually("the span to be sent", () => exporter.counts.sent === 1);
    expect(collector.requests.map(({ spans }) => spans)).toEqual([1, 1, 1]);
    expect(waits[0]).toBe(7000);
    expect(waits[1]).toBeGreaterThan(1000);
    expect(waits[1]).toBeLessThan(3000);
    expect(states).toEqual(["it answered 429: slow down", "it answered 503", ""]);
  });

  test("for long loses a batch after five attempts, and is asked with the next one", async () => {
    await using collector = new TestCollector();
    const { exporter, tracer, waits } = open(collector);
    for (let count = 0; count < 5; count += 1) collector.answers.push(() => new Response(null, { status: 502 }));
    one(tracer);
    await eventually("the batch to be given up", () => exporter.counts.failed === 1);
    one(tracer);
    await eventually("the next one to be sent", () => exporter.counts.sent === 1);
    expect([waits.length, collector.requests.length]).toEqual([4, 6]);
  });

  test("for good is not asked again with the same spans", async () => {
    await using collector = new TestCollector();
    const { exporter, tracer, states, waits } = open(collector);
    collector.answers.push(() => new Response("no such tenant", { status: 403 }));
    one(tracer);
    await eventually("the span to be given up", () => exporter.counts.failed === 1);
    expect([collector.requests.length, waits, states]).toEqual([1, [], ["it answered 403: no such tenant"]]);
  });

  test("in part says how many, and those are not sent again", async () => {
    await using collector = new TestCollector();
    const { exporter, tracer, states } = open(collector, { collectMs: 60_000 });
    const partialSuccess = { rejectedSpans: "2", errorMessage: "too old" };
    collector.answers.push(() => Response.json({ partialSuccess }));
    for (let count = 0; count < MAX_BATCH; count += 1) one(tracer);
    await eventually("the answer", () => exporter.counts.failed === 2);
    expect(exporter.counts.sent).toBe(MAX_BATCH - 2);
    expect([states, collector.requests.length]).toEqual([[`it refused 2 of ${MAX_BATCH} spans: too old`], 1]);
  });

  test("in time is given up, and holds nobody up", async () => {
    await using collector = new TestCollector();
    const { exporter, tracer, states } = open(collector, { timeoutMs: 50 });
    const silent = Promise.withResolvers<Response>();
    for (let count = 0; count < 5; count += 1) collector.answers.push(() => silent.promise);
    one(tracer);
    await eventually("the batch to be given up", () => exporter.counts.failed === 1);
    silent.resolve(new Response());
    expect(states).toEqual(["it did not answer within 0.05 s"]);
  });
});

test("what waits is bounded: further spans are dropped and counted", async () => {
  await using collector = new TestCollector();
  const { exporter, tracer } = open(collector);
  const held = Promise.withResolvers<Response>();
  collector.answers.push(() => held.promise);
  one(tracer);
  await eventually("the first request", () => collector.requests.length === 1);
  for (let count = 0; count < MAX_WAITING + 10; count += 1) one(tracer);
  expect([exporter.waiting, exporter.counts.dropped]).toEqual([MAX_WAITING, 10]);
  held.resolve(Response.json({}));
  await eventually("the others to be sent", () => exporter.counts.sent === MAX_WAITING + 1);
  expect(Math.max(...collector.requests.map(({ spans }) => spans))).toBe(MAX_BATCH);
});

describe("the end of a node", () => {
  test("sends what waits", async () => {
    await using collector = new TestCollector();
    const { exporter, tracer } = open(collector, { collectMs: 60_000 });
    for (let count = 0; count < 3; count += 1) one(tracer);
    await exporter.close(2000);
    one(tracer);
    expect([collector.spans.length, exporter.counts]).toEqual([3, { sent: 3, failed: 0, dropped: 1 }]);
  });

  test("does not wait for a collector that does not answer", async () => {
    await using collector = new TestCollector();
    const { exporter, tracer } = open(collector, { collectMs: 60_000, timeoutMs: 60_000 });
    const silent = Promise.withResolvers<Response>();
    collector.answers.push(() => silent.promise);
    for (let count = 0; count < MAX_BATCH + 5; count += 1) one(tracer);
    await eventually("the first request", () => collector.requests.length === 1);
    await exporter.close(50);
    expect([exporter.waiting, exporter.counts.dropped]).toEqual([0, 5]);
    silent.resolve(new Response());
  });

  test("ends the wait before a repetition", async () => {
    await using collector = new TestCollector();
    const { exporter, tracer } = open(collector, {
      pauseFor: (_ms, signal) =>
        new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal.reason))),
    });
    collector.answers.push(() => new Response(null, { status: 503, headers: { "retry-after": "100" } }));
    one(tracer);
    await eventually("the refusal", () => collector.requests.length === 1);
    await exporter.close(5000);
    expect([collector.spans.length, exporter.counts.sent]).toEqual([1, 1]);
  });
});
