// The load generator, a process of its own: keep-alive connections on raw sockets with one request in flight on each,
// the same for both sides of a comparison. Reads one JSON plan a line from stdin and writes one JSON result a line.

import { readFileSync } from "node:fs";

export interface LoadPlan {
  /** Unix socket of the server, or of the proxy in front of it. */
  unix: string;
  /** Target of a CONNECT that is sent first on each connection, to get through a proxy: `host:port`. */
  connect?: string;
  connections: number;
  /** Time of load before and during the measurement, in ms. */
  warmMs: number;
  runMs: number;
  /** Whole requests; connection i sends the i-th, then every `connections`-th after it, in a loop. */
  requests: readonly string[];
  /** Processes of the server, whose CPU time is read before and after the measurement. */
  pids: readonly number[];
}

export interface LoadResult {
  perSecond: number;
  /** In ms. */
  p50: number;
  p99: number;
  /** Responses that were not 2xx. */
  refused: number;
  firstRefusal: string;
  /** Wall clock of the first response, in ms. */
  firstAtMs: number;
  /** CPU time of the server per request, and of this process, in microseconds. */
  serverCpuUs: number;
  loadCpuUs: number;
}

const CONNECT_MS = 10_000;
const TICKS_PER_SECOND = 100;

async function run(plan: LoadPlan): Promise<LoadResult> {
  const requests = plan.requests.map((text) => Buffer.from(text));
  const tally = {
    measuring: false,
    stopping: false,
    latencies: [] as number[],
    refused: 0,
    firstRefusal: "",
    firstAtMs: 0,
  };
  const lanes = await Promise.all(
    Array.from({ length: plan.connections }, (_, index) => openLane(plan, requests, index, tally)),
  );
  for (const lane of lanes) lane.start();
  const failed = Promise.race(lanes.map((lane) => lane.failed));
  await Promise.race([Bun.sleep(plan.warmMs), failed]);
  tally.measuring = true;
  const cpu = plan.pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const own = process.cpuUsage();
  const started = performance.now();
  await Promise.race([Bun.sleep(plan.runMs), failed]);
  const tookMs = performance.now() - started;
  tally.measuring = false;
  const ownUsed = process.cpuUsage(own);
  const cpuUsed = plan.pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0) - cpu;
  tally.stopping = true;
  for (const lane of lanes) lane.close();
  const { latencies } = tally;
  const sorted = Float64Array.from(latencies).sort();
  const count = Math.max(1, sorted.length);
  return {
    perSecond: (sorted.length * 1000) / tookMs,
    p50: sorted[Math.floor(count * 0.5)] ?? 0,
    p99: sorted[Math.floor(count * 0.99)] ?? 0,
    refused: tally.refused,
    firstRefusal: tally.firstRefusal,
    firstAtMs: tally.firstAtMs,
    serverCpuUs: (cpuUsed * 1e6) / count,
    loadCpuUs: (ownUsed.user + ownUsed.system) / count,
  };
}

interface Tally {
  measuring: boolean;
  stopping: boolean;
  latencies: number[];
  refused: number;
  firstRefusal: string;
  firstAtMs: number;
}

interface Lane {
  start: () => void;
  close: () => void;
  /** Rejects when the connection breaks while it is in use. */
  failed: Promise<never>;
}

async function openLane(plan: LoadPlan, requests: readonly Buffer[], index: number, tally: Tally): Promise<Lane> {
  let at = index % requests.length;
  let sentAt = 0;
  let rest: Buffer = Buffer.alloc(0);
  const tunnelled = Promise.withResolvers<void>();
  const failure = Promise.withResolvers<never>();
  failure.promise.catch(() => {});
  let inTunnel = plan.connect === undefined;
  const fail = (why: string) => {
    if (tally.stopping) return;
    const error = new Error(`connection ${index} to ${plan.unix}: ${why}`);
    tunnelled.reject(error);
    failure.reject(error);
  };
  const socket = await Bun.connect({
    unix: plan.unix,
    socket: {
      data(_, chunk) {
        const seen: Buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
        const length = answerLength(seen);
        if (length === undefined) {
          // A view of a chunk is valid only during this call.
          rest = Buffer.from(seen);
          return;
        }
        if (seen.length > length) return fail("more came than one answer");
        rest = Buffer.alloc(0);
        const good = seen[9] === 0x32;
        if (!inTunnel) {
          inTunnel = true;
          if (good) tunnelled.resolve();
          else fail(seen.toString("utf8"));
          return;
        }
        if (tally.firstAtMs === 0) tally.firstAtMs = performance.timeOrigin + performance.now();
        if (tally.measuring) {
          tally.latencies.push(performance.now() - sentAt);
          if (!good) tally.refused += 1;
        }
        if (!good && tally.firstRefusal === "") tally.firstRefusal = seen.toString("utf8", 0, 600);
        if (!tally.stopping) send();
      },
      close: () => fail("closed"),
      error: (_, error) => fail(error.message),
    },
  });
  const send = () => {
    const request = requests[at];
    if (request === undefined) return fail("has no request");
    at = (at + plan.connections) % requests.length;
    sentAt = performance.now();
    if (socket.write(request) !== request.length) fail("did not take a request at once");
  };
  if (plan.connect !== undefined) {
    socket.write(`CONNECT ${plan.connect} HTTP/1.1\r\nHost: ${plan.connect}\r\n\r\n`);
    const timer = setTimeout(() => fail(`no tunnel in ${CONNECT_MS} ms`), CONNECT_MS);
    await tunnelled.promise;
    clearTimeout(timer);
  }
  return { start: send, close: () => socket.terminate(), failed: failure.promise };
}

/**
 * Returns the length of the whole response in these bytes, or undefined while some is missing. Handles Content-Length
 * and chunks; a tunnel and 204 have no body.
 */
export function answerLength(bytes: Buffer): number | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const head = bytes.toString("latin1", 0, end).toLowerCase();
  const body = end + 4;
  const at = head.indexOf("\r\ncontent-length:");
  if (at >= 0) {
    const total = body + Number.parseInt(head.slice(at + 17), 10);
    return bytes.length >= total ? total : undefined;
  }
  if (!head.includes("\r\ntransfer-encoding: chunked")) return body;
  return bytes.subarray(-5).equals(LAST_CHUNK) ? bytes.length : undefined;
}

const LAST_CHUNK = Buffer.from("0\r\n\r\n");

/** Returns the CPU time of all threads of a process so far. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

if (import.meta.main) {
  for await (const line of console) {
    if (line === "") continue;
    const answer = await run(JSON.parse(line)).catch((error: unknown) => ({ error: String(error) }));
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}
