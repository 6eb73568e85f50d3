// Rows of events beside other servers, in the same run: NATS JetStream with a sync for each write, by its own client,
// and tas-mcp, which keeps no event. Each takes the events that a node takes in calls of 512.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { NatsLink } from "../src/features/event/jetstream/nats.ts";
import { eventually } from "../test/kit/eventually.ts";
import { freePort } from "../test/kit/free-port.ts";
import { loopbackConnections, NATS_SERVER, startNats } from "../test/kit/nats.ts";
import { request } from "./ingress.ts";
import { Lane } from "./lane.ts";
import { startProgram } from "./processes.ts";
import { median, percentile, type Row, spread } from "./report.ts";
import type { Bench } from "./rows.ts";

/** Events in a call. */
const SIZE = 512;
/** Calls in flight. */
const IN_FLIGHT = 8;
const STARTED_MS = 30_000;
/** A server that syncs each event alone takes seconds for all that are in flight. */
const ACKED_MS = 120_000;

/** Sends a call of 512 events, and resolves when they are taken. */
export type SendCall = () => Promise<unknown>;

interface Peer extends AsyncDisposable {
  sends: readonly SendCall[];
}

/** Calls again and again on every lane for a time. */
export async function during(
  forMs: number,
  lanes: readonly SendCall[],
): Promise<{ calls: number; times: number[]; ms: number }> {
  const times: number[] = [];
  const startMs = performance.now();
  await Promise.all(
    lanes.map(async (send) => {
      while (performance.now() - startMs < forMs) {
        const sentMs = performance.now();
        await send();
        times.push(performance.now() - sentMs);
      }
    }),
  );
  return { calls: times.length, times, ms: performance.now() - startMs };
}

/** Compares a node, by its lanes with calls of 512 events of these bytes of data, with each server that is here. */
export async function besidePeers(bench: Bench, ours: readonly SendCall[], data: string): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [against, start] of [
    ["NATS JetStream, sync always, acknowledged one by one", startJetStream],
    ["tas-mcp, which keeps none", startTas],
  ] as const) {
    const peer = await start(bench, data);
    const what = `events: in calls of ${SIZE}, one node, durable`;
    if ("missing" in peer) {
      bench.say(`events, ${against}: ${peer.missing}`);
      rows.push({
        ...{ what, against, result: "not measured", goal: undefined, met: undefined, detail: peer.missing },
      });
      continue;
    }
    await using _ = peer;
    rows.push(await comparison(bench, what, against, ours, peer.sends));
  }
  return rows;
}

async function comparison(
  bench: Bench,
  what: string,
  against: string,
  ours: readonly SendCall[],
  theirs: readonly SendCall[],
): Promise<Row> {
  const pairs: [Run, Run][] = [];
  for (let round = 0; round < bench.rounds; round += 1) pairs.push([await run(bench, ours), await run(bench, theirs)]);
  const ratios = pairs.map(([own, other]) => own.perSecond / other.perSecond);
  const side = (at: 0 | 1, pick: (one: Run) => number, digits: number) =>
    median(pairs.map((pair) => pick(pair[at]))).toFixed(digits);
  bench.say(`events, ${against}: ratio ${median(ratios).toFixed(2)}`);
  return {
    ...{ what, against, result: spread(ratios, 2), goal: undefined, met: undefined },
    detail: `${side(0, (one) => one.perSecond, 0)} / ${side(1, (one) => one.perSecond, 0)} events a second; p50 ${side(0, (one) => one.p50, 1)} / ${side(1, (one) => one.p50, 1)} ms, p99 ${side(0, (one) => one.p99, 1)} / ${side(1, (one) => one.p99, 1)} ms for ${SIZE}`,
  };
}

interface Run {
  perSecond: number;
  p50: number;
  p99: number;
}

async function run({ warmMs, runMs }: Bench, lanes: readonly SendCall[]): Promise<Run> {
  await during(warmMs, lanes);
  const { calls, times, ms } = await during(runMs, lanes);
  return { perSecond: (calls * SIZE * 1000) / ms, p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
}

/** A server of one node whose file store syncs before it acknowledges, as a node does. */
async function startJetStream(bench: Bench, data: string): Promise<Peer | { missing: string }> {
  if (NATS_SERVER === undefined) return { missing: "nats-server is not installed" };
  const folder = join(bench.data, "events-nats");
  mkdirSync(folder, { recursive: true });
  const server = await startNats("", { folder, sync: "always" });
  const link = new NatsLink({
    place: () => ({ url: server.url, login: undefined }),
    open: loopbackConnections.open,
    roots: () => [],
  });
  const { stream, manager } = await link.client();
  await manager.streams.add({ name: "bench", subjects: ["bench.>"] });
  const event = Buffer.from(JSON.stringify({ type: "bench.done", source: "bench", data }));
  const send = () =>
    Promise.all(Array.from({ length: SIZE }, () => stream.publish("bench.done", event, { timeout: ACKED_MS })));
  return {
    sends: Array.from({ length: IN_FLIGHT }, () => send),
    async [Symbol.asyncDispose]() {
      await link.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** The program that the seed describes, built from its sources (`go build ./cmd/server`) and put on the PATH. */
async function startTas(_: Bench, data: string): Promise<Peer | { missing: string }> {
  const program = Bun.which("tas-mcp");
  if (program === null) return { missing: "there is no tas-mcp on the PATH (its module is in no registry)" };
  const [http, grpc, health] = [freePort(), freePort(), freePort()];
  const running = startProgram([program], {
    ...{ HTTP_PORT: String(http), GRPC_PORT: String(grpc), HEALTH_CHECK_PORT: String(health), LOG_LEVEL: "error" },
  });
  const isUp = () =>
    fetch(`http://127.0.0.1:${http}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
  try {
    await eventually("tas-mcp answers", isUp, { withinMs: STARTED_MS });
  } catch (error) {
    await running.end();
    throw error;
  }
  let id = 0;
  const event = { event_type: "bench.done", source: "bench", timestamp: 1, data: JSON.stringify({ data }) };
  const body = JSON.stringify(Array.from({ length: SIZE }, () => ({ event_id: `e${++id}`, ...event })));
  const text = request("POST", "/api/v1/events/batch", "", body);
  const lanes = await Promise.all(Array.from({ length: IN_FLIGHT }, () => Lane.open({ port: http })));
  return {
    sends: lanes.map((lane) => () => lane.json(text)),
    async [Symbol.asyncDispose]() {
      for (const lane of lanes) lane[Symbol.dispose]();
      await running.end();
    },
  };
}
