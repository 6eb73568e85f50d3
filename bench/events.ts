// Rows of events: how many a second one node takes durably, in calls of 1, 16 and 512 of them. Those on their way out
// are in deliveries.ts, other servers in event-peers.ts.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { startNodeFor } from "./agents.ts";
import { ruleCost, streamMemory, toStreams, toWebhooks } from "./deliveries.ts";
import { besidePeers, during, type SendCall } from "./event-peers.ts";
import { request } from "./ingress.ts";
import { Lane, type Place } from "./lane.ts";
import { percentile, type Row } from "./report.ts";
import type { Bench } from "./rows.ts";
import { startVoters } from "./voters.ts";

const GOAL_PER_SECOND = 25_000;
/** Calls in flight, by how many events each has: as many as one caller may well have. */
const LANES: Readonly<Record<number, number>> = { 1: 64, 16: 32, 512: 8 };
/** Bytes of the data of an event. */
const DATA = "x".repeat(100);

/** Runs the rows, where they are wanted. */
export async function overEvents(bench: Bench): Promise<Row[]> {
  if (!bench.wanted.has("events")) return [];
  const name = "events";
  const rows: Row[] = [];
  {
    await using node = await startNodeFor(bench, name);
    for (const size of [1, 16, 512]) {
      bench.say(`events: calls of ${size}`);
      rows.push(await taken(bench, node.place, size, "one node"));
    }
    {
      using lanes = await lanesOf(node.place, 512);
      rows.push(...(await besidePeers(bench, lanes.sends, DATA)));
    }
    rows.push(await toStreams(bench, node.place));
    rows.push(await streamMemory(bench, node));
  }
  {
    await using three = await startVoters(bench, 3, join(bench.data, `${name}-three`));
    for (const size of [1, 16, 512]) {
      bench.say(`events: calls of ${size}, three voters`);
      rows.push(await taken(bench, { unix: three.socket, headers: "" }, size, "3 voters"));
    }
  }
  rows.push(ruleCost(bench));
  rows.push(...(await toWebhooks(bench)));
  for (const folder of [name, `${name}-three`]) rmSync(join(bench.data, folder), { recursive: true, force: true });
  return rows;
}

async function taken(bench: Bench, place: Place, size: number, where: "one node" | "3 voters"): Promise<Row> {
  using lanes = await lanesOf(place, size);
  await during(bench.warmMs, lanes.sends);
  const { calls, times, ms } = await during(bench.runMs, lanes.sends);
  const perSecond = (calls * size * 1000) / ms;
  const isGoal = size === 512 && where === "one node";
  return {
    what: `events: durable, in calls of ${size}, ${where}`,
    against: "–",
    result: `${Math.round(perSecond).toLocaleString("en-US")} a second`,
    goal: isGoal ? `≥ ${GOAL_PER_SECOND.toLocaleString("en-US")} a second` : undefined,
    met: isGoal ? perSecond >= GOAL_PER_SECOND : undefined,
    detail: `${LANES[size]} in flight, ${DATA.length} bytes of data; p50 ${percentile(times, 0.5).toFixed(1)} ms, p99 ${percentile(times, 0.99).toFixed(1)} ms a call`,
  };
}

/** Opens as many connections as calls of this size are in flight. */
async function lanesOf(place: Place, size: number): Promise<Disposable & { sends: SendCall[] }> {
  const text = callOf(size, place);
  const lanes = await Promise.all(Array.from({ length: LANES[size] ?? 1 }, () => Lane.open(place)));
  return {
    sends: lanes.map((lane) => () => lane.json(text)),
    [Symbol.dispose]() {
      for (const lane of lanes) lane[Symbol.dispose]();
    },
  };
}

/** Events without an id: each is a new one. */
function callOf(size: number, { headers }: Place): string {
  const event = { type: "bench.done", source: "bench", data: DATA };
  const body = JSON.stringify(Array.from({ length: size }, () => event));
  return request("POST", "/events/batch?space=bench", headers, body);
}
