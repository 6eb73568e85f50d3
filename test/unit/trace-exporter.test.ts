// Spans on their way to a collector: what it gets, what becomes of them where it does not take them, and that what
// waits is bounded.

import { describe, expect, test } from "bun:test";
import type { TraceContext } from "../../src/lib/trace-context.ts";
import { registerSecret } from "../../src/observe/redact.ts";
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

describe("of one who asks for many traces", () => {
  const remote = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7", state: "", isRemote: true };

  test("so many are recorded at once and by the minute, and those of others all", () => {
    let elapsedMs = 0;
    let recorded = 0;
    const sink = () => {
      recorded += 1;
    };
    const tracer = new Tracer({ ratio: 1, sink, monotonicMs: () => elapsedMs });
    const ask = (times: number, name = "eve", given: TraceContext | "none" = { ...remote, flags: 3 }) => {
      const before = recorded;
      const parent = given === "none" ? undefined : given;
      for (let count = 0; count < times; count += 1) {
        const span = tracer.begin("a", { kind: "server", parent, by: { name } });
        const inner = tracer.begin("b", { kind: "internal", parent: span.context });
        // What follows is told, and its random id goes on.
        expect(span.context.flags & 2).toBe(2);
        expect(inner.context.flags).toBe(span.context.flags);
        inner.end();
        span.end();
      }
      return (recorded - before) / 2;
    };
    expect([ask(1500), tracer.unrecorded]).toEqual([1000, 500]);
    expect([ask(10), ask(10, "ann"), ask(10, "eve", "none")]).toEqual([0, 10, 0]);
    elapsedMs += 1000;
    expect(ask(500)).toBe(100);
    expect(ask(5, "eve", { ...remote, flags: 2 })).toBe(0);
    expect(tracer.unrecorded).toBe(920);
  });

  test("more are recorded of who asks for others, and without a bound what is part of a recorded one", () => {
    let recorded = 0;
    const sink = () => {
      recorded += 1;
    };
    const tracer = new Tracer({ ratio: 1, sink, monotonicMs: () => 0 });
    for (let count = 0; count < 3000; count += 1)
      tracer.begin("a", { kind: "server", parent: undefined, by: { name: "via:n1", times: 2 } }).end();
    expect(recorded).toBe(2000);
    for (let count = 0; count < 3000; count += 1)
      tracer.begin("a", { kind: "internal", parent: { ...remote, flags: 1, isRemote: false } }).end();
    expect(recorded).toBe(5000);
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
    for (const status of [502, 504, 502, 503, 504]) collector.answers.push(() => new Response(null, { status }));
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

  test("in time is given up, and holds no one up", async () => {
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

describe("a collector that means harm", () => {
  test("is not asked more than once a second, and waited for two minutes at most", async () => {
    await using collector = new TestCollector();
    const nowMs = () => Date.parse("2026-11-30T08:00:00Z");
    const { exporter, tracer, waits } = open(collector, { nowMs });
    for (const after of ["0", "1e99", "Mon, 30 Nov 2026 08:00:30 GMT", "Mon, 30 Nov 2026 07:00:00 GMT"])
      collector.answers.push(() => new Response(null, { status: 429, headers: { "retry-after": after } }));
    one(tracer);
    await eventually("the span to be sent", () => exporter.counts.sent === 1);
    expect(waits.slice(0, 3)).toEqual([1000, 120_000, 30_000]);
    expect(waits[3]).toBeGreaterThan(4000);
  });

  test("gets spans once, whatever it says of them", async () => {
    const odd = { toString: 1, valueOf: 1 };
    for (const [partialSuccess, failed, why] of [
      [{ rejectedSpans: odd, errorMessage: odd }, 0, ""],
      [{ rejectedSpans: "1", errorMessage: odd }, 1, "it refused 1 of 1 spans: "],
      [
        { rejectedSpans: 1e30, errorMessage: "a\u001b[31m\u202eb" },
        1,
        "it refused 1 of 1 spans: a\\u{1b}[31m\\u{202e}b",
      ],
      [{ rejectedSpans: "-5", errorMessage: "no" }, 0, ""],
      [[], 0, ""],
    ] as const) {
      await using collector = new TestCollector();
      const { exporter, tracer, states } = open(collector);
      collector.answers.push(() => Response.json({ partialSuccess }));
      one(tracer);
      await eventually("the span to be done with", () => exporter.counts.sent + exporter.counts.failed === 1);
      expect([collector.requests.length, exporter.counts.failed]).toEqual([1, failed]);
      expect(states).toEqual(why === "" ? [] : [why]);
    }
  });

  test("is read for 16 KiB, and shown without the secret that it says again", async () => {
    await using collector = new TestCollector();
    registerSecret("a-secret-of-the-collector");
    const { exporter, tracer, states } = open(collector, { timeoutMs: 600_000 });
    let isCancelled = false;
    const endless = new ReadableStream({
      start: (controller) => controller.enqueue(Buffer.from(`${"no ".repeat(55)}a-secret-of-the-collector`)),
      pull: async (controller) => {
        await Bun.sleep(1);
        controller.enqueue(new Uint8Array(4096).fill(120));
      },
      cancel: () => {
        isCancelled = true;
      },
    });
    collector.answers.push(() => new Response(endless, { status: 401 }));
    one(tracer);
    await eventually("the end of its answer", () => exporter.counts.failed === 1 && isCancelled);
    expect(states).toHaveLength(1);
    expect(states[0]).toStartWith("it answered 401: no no ");
    expect(states[0]).toContain("[redacted]");
    expect(states[0]).not.toContain("a-secret");
    expect(states[0]?.length).toBeLessThan(250);
  });
});

test("spans that come while a request is under way wait for others, too", async () => {
  await using collector = new TestCollector();
  const { exporter, tracer } = open(collector, { collectMs: 60_000 });
  const held = Promise.withResolvers<Response>();
  collector.answers.push(() => held.promise);
  for (let count = 0; count < MAX_BATCH + 5; count += 1) one(tracer);
  await eventually("the first request", () => collector.requests.length === 1);
  held.resolve(Response.json({}));
  await eventually("its end", () => exporter.counts.sent === MAX_BATCH);
  expect([exporter.waiting, collector.requests.length]).toEqual([5, 1]);
  for (let count = 0; count < MAX_BATCH - 5; count += 1) one(tracer);
  await eventually("the second one, which is full", () => exporter.counts.sent === 2 * MAX_BATCH);
  expect(collector.requests.map(({ spans }) => spans)).toEqual([MAX_BATCH, MAX_BATCH]);
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

test("one request is under way at a time, also where a batch is full before its time", async () => {
  await using collector = new TestCollector();
  await using later = new TestCollector();
  const { exporter, tracer } = open(collector, { collectMs: 5 });
  const other = open(later, { collectMs: 5 });
  const held = Promise.withResolvers<Response>();
  collector.answers.push(() => held.promise);
  for (let count = 0; count < MAX_BATCH + 1; count += 1) one(tracer);
  one(other.tracer);
  // A timer that was set after that of the first span has ended, so that one has, too.
  await eventually("a request that waited for its time", () => other.exporter.counts.sent === 1);
  await eventually("the full batch", () => collector.requests.length > 0);
  expect([collector.requests.length, exporter.waiting]).toEqual([1, 1]);
  held.resolve(Response.json({}));
  await eventually("both to be sent", () => exporter.counts.sent === MAX_BATCH + 1);
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
    expect([exporter.waiting, exporter.counts]).toEqual([0, { sent: 0, failed: MAX_BATCH, dropped: 5 }]);
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
