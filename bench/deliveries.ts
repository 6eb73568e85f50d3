// Rows of events on their way out: from a publish until all streams have it, the memory of a stream, what rules cost,
// and how many deliveries a second go to webhooks.

import { createServer } from "node:http";
import { RuleSet } from "../src/features/event/rules/index.ts";
import { eventually } from "../test/kit/eventually.ts";
import { type FleetNode, startFleet } from "../test/kit/fleet.ts";
import type { BenchNode } from "./agents.ts";
import { fanOut } from "./fan-out.ts";
import { request } from "./ingress.ts";
import { Lane, openStream, type Place } from "./lane.ts";
import { memoryOf } from "./processes.ts";
import { percentile, type Row } from "./report.ts";
import type { Bench } from "./rows.ts";

const STREAMS = 100;
const GOAL_P99_MS = 10;
/** Streams of which the memory is read. */
const IDLE_STREAMS = 1000;
const STREAM_PATH = "/events/stream?space=bench&own=true";
const WEBHOOKS = [1, 100] as const;
/** Deliveries of a run, over all webhooks. */
const DELIVERIES = 2000;
const DELIVERED_MS = 120_000;

/** From a publish until 100 streams have the event. */
export async function toStreams(bench: Bench, place: Place): Promise<Row> {
  using lane = await Lane.open(place);
  const sends = Math.max(40, Math.round(bench.runMs / 10));
  const send = (text: string) => {
    const body = JSON.stringify({ type: "bench.told", source: "bench", data: text });
    return lane.json(request("POST", "/events?space=bench", place.headers, body));
  };
  const { deliveredMs, ackedMs } = await fanOut({
    ...{ places: [place], followers: STREAMS, path: STREAM_PATH, send, sends },
  });
  const [p50, p99] = [percentile(deliveredMs, 0.5), percentile(deliveredMs, 0.99)];
  bench.say(`events to ${STREAMS} streams: p50 ${p50.toFixed(2)}, p99 ${p99.toFixed(2)} ms`);
  return {
    what: `events: from a publish until ${STREAMS} SSE streams have it, one node`,
    against: "–",
    result: `p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`,
    goal: `p99 ≤ ${GOAL_P99_MS} ms`,
    met: p99 <= GOAL_P99_MS,
    detail: `acknowledged, durable: p50 ${percentile(ackedMs, 0.5).toFixed(2)}, p99 ${percentile(ackedMs, 0.99).toFixed(2)} ms; ${sends} events, each delivered before the next`,
  };
}

/** What an open stream takes in memory. */
export async function streamMemory(bench: Bench, { place, program }: BenchNode): Promise<Row> {
  await Bun.sleep(bench.idleMs / 5);
  const before = memoryOf(program.pid).privateMb;
  const head = `GET ${STREAM_PATH} HTTP/1.1\r\nHost: cairn\r\nAccept: text/event-stream\r\n${place.headers}\r\n`;
  const streams: Disposable[] = [];
  for (let at = 0; at < IDLE_STREAMS; at += 1) streams.push(await openStream(place, head, () => {}));
  await Bun.sleep(bench.idleMs / 5);
  const during = memoryOf(program.pid).privateMb;
  for (const stream of streams) stream[Symbol.dispose]();
  const kb = ((during - before) * 1000) / IDLE_STREAMS;
  bench.say(`${IDLE_STREAMS} streams of events: ${kb.toFixed(1)} KB each`);
  return {
    what: `events: ${IDLE_STREAMS.toLocaleString("en")} SSE streams open at one node`,
    against: "–",
    result: `${kb.toFixed(1)} KB each`,
    goal: undefined,
    met: undefined,
    detail: `beside ${before.toFixed(0)} MB without them; connections included`,
  };
}

/** What one event costs a subscription with one rule, in process. */
export function ruleCost(bench: Bench): Row {
  const record = {
    id: "1",
    source: "ci",
    type: "build.done",
    time: "2026-01-01T00:00:00Z",
    data: { n: 7, of: "main" },
  };
  const sender = { caller: "user:bench@example.com", node: "laptop", tags: [] };
  const type = { field: "type", operator: "eq", value: "build.done" } as const;
  const n = { field: "data.n", operator: "gt", value: 5 } as const;
  const kinds = {
    operators: { id: "r", match: { conditions: [type, n] } },
    CEL: { id: "r", match: { cel: 'event.type == "build.done" && event.data.n > 5.0' } },
  };
  const costs = Object.entries(kinds).map(([kind, rules]) => {
    const set = new RuleSet([rules]);
    const run = (forMs: number): number => {
      let count = 0;
      const startMs = performance.now();
      while (performance.now() - startMs < forMs)
        for (let at = 0; at < 100; at += 1, count += 1)
          // Values for expressions are kept for each record, so each is another one.
          if (set.decide({ ...record }, sender, () => true).outcome !== "forward")
            throw new Error(`${kind} took no event`);
      return ((performance.now() - startMs) * 1000) / count;
    };
    run(bench.warmMs / 5);
    return `${kind} ${run(bench.runMs / 5).toFixed(1)} µs`;
  });
  return {
    what: "events: one rule of two conditions over one event, in process",
    against: "–",
    result: costs.join(", "),
    goal: undefined,
    met: undefined,
    detail: "each subscription decides about each event of its space",
  };
}

/** Deliveries a second to one and to a hundred webhooks, signed, over the way out of a whole node. */
export async function toWebhooks(bench: Bench): Promise<Row[]> {
  let arrived = 0;
  const server = createServer((incoming, response) => {
    incoming.resume().on("end", () => {
      arrived += 1;
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const at = typeof address === "object" && address !== null ? `127.0.0.1:${address.port}` : "";
  await using fleet = await startFleet({
    ...{ centrals: 1, from: "binary", env: { CAIRN_SECRET_HOOK: `whsec_${btoa("x".repeat(24))}` } },
    args: ["--limits-requests-per-minute", "0", "--outbound-allow", at],
  });
  const node = await fleet.leader();
  const rows: Row[] = [];
  for (const count of WEBHOOKS) {
    const space = `hooks-${count}`;
    for (let hook = 0; hook < count; hook += 1) {
      const target = { kind: "webhook", url: `http://${at}/`, secret: "secret:HOOK" };
      await done(node, "event_target_set", { name: `${space}-${hook}`, target, spaces: [space] });
      await done(node, "subscription_create", { id: `${space}/s${hook}`, target: `${space}-${hook}` });
    }
    arrived = 0;
    const events = Array.from({ length: DELIVERIES / count }, (_, n) => ({ type: "bench.told", data: n }));
    const startMs = performance.now();
    for (let next = 0; next < events.length; next += 500)
      await done(node, "event_publish_many", { space, events: events.slice(next, next + 500) });
    await eventually("all deliveries", () => arrived >= DELIVERIES, { withinMs: DELIVERED_MS, stepMs: 5 });
    const perSecond = (DELIVERIES * 1000) / (performance.now() - startMs);
    bench.say(`${count} webhooks: ${perSecond.toFixed(0)} deliveries a second`);
    for (let hook = 0; hook < count; hook += 1) await done(node, "subscription_end", { id: `${space}/s${hook}` });
    rows.push({
      what: `events: deliveries to ${count === 1 ? "one webhook" : `${count} webhooks`}, signed, in order for each`,
      against: "–",
      result: `${Math.round(perSecond).toLocaleString("en-US")} a second`,
      goal: undefined,
      met: undefined,
      detail: `${DELIVERIES} deliveries, from the first publish; the receiver is in the bench`,
    });
  }
  server.close();
  return rows;
}

async function done(node: FleetNode, operation: string, input: object): Promise<void> {
  const { status, text } = await node.call(operation, input, 30_000);
  if (status !== 200) throw new Error(`${operation}: ${status} ${text.slice(0, 300)}`);
}
