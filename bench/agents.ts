// Rows of agents together: from a post until it is delivered, many open waits, and pages with their live stream.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../test/kit/eventually.ts";
import { fanOut } from "./fan-out.ts";
import { request } from "./ingress.ts";
import { Lane, openStream, type Place } from "./lane.ts";
import { memoryOf, type Program, startScript } from "./processes.ts";
import { percentile, type Row } from "./report.ts";
import type { Bench } from "./rows.ts";
import { startVoters, TMPFS } from "./voters.ts";

const AGENTS = [20, 200] as const;
const GOAL_MS = 3;
/** Waits that are begun at once: the backlog of a listening socket has a bound. */
const BEGUN_AT_ONCE = 50;
const DELIVERED_MS = 10_000;

/** Runs the rows that are wanted. */
export async function overAgents(bench: Bench): Promise<Row[]> {
  const { wanted } = bench;
  if (!wanted.has("messages") && !wanted.has("waits") && !wanted.has("page")) return [];
  const rows: Row[] = [];
  await using node = await startNodeFor(bench, "agents");
  for (const agents of wanted.has("messages") ? AGENTS : []) rows.push(await deliveries(bench, [node.place], agents));
  if (wanted.has("messages")) rows.push(await withoutDisk(bench));
  if (wanted.has("page")) rows.push(...(await pages(bench, node.place)));
  if (wanted.has("waits")) rows.push(await waits(bench, node));
  if (!wanted.has("messages")) return rows;
  await using three = await startVoters(bench, 3, join(bench.data, "agents-three"));
  const places = three.sockets.map((unix) => ({ unix, headers: "" }));
  for (const agents of AGENTS) rows.push(await deliveries(bench, places, agents));
  return rows;
}

/** Deliveries of a node whose data folder is in memory: how much of the time is the disk's. */
async function withoutDisk(bench: Bench): Promise<Row> {
  const data = mkdtempSync(join(TMPFS, "cairn-b-"));
  try {
    await using node = await startNodeFor({ ...bench, data }, "agents");
    const row = await deliveries(bench, [node.place], AGENTS[0]);
    return { ...row, what: `${row.what}, its data on tmpfs (no fsync)`, goal: undefined, met: undefined };
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
}

/** A node, and where it takes requests. */
export interface BenchNode extends AsyncDisposable {
  program: Program;
  place: Place;
  data: string;
}

/** Starts the whole node of bench/node.ts with a data folder of that name, which it may have already. */
export async function startNodeFor(bench: Bench, name: string): Promise<BenchNode> {
  const data = join(bench.data, name);
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const { program, ready } = await startScript("node.ts", data, bench.sockets);
  const place = { unix: String(ready["socket"]), headers: String(ready["headers"]) };
  return { program, place, data, [Symbol.asyncDispose]: () => program.end() };
}

/** Begins a session, and returns its id. */
export async function beginSession(lane: Lane, { headers }: Place): Promise<string> {
  const body = JSON.stringify({ purpose: "Bench", space: "bench" });
  return String((await lane.json(request("POST", "/sessions", headers, body)))["session"]);
}

/** Waits until a node has the session: one that follows gets it a moment later. */
async function hasSession(place: Place, session: string): Promise<void> {
  using lane = await Lane.open(place);
  const headers = `Cairn-Consistency: any\r\n${place.headers}`;
  const endMs = performance.now() + DELIVERED_MS;
  for (;;) {
    const { status, text } = await lane.ask(request("GET", `/sessions/${session}`, headers));
    if (status === 200) return;
    if (status !== 404 || performance.now() > endMs) throw new Error(`${place.unix} has no session: ${status} ${text}`);
    await Bun.sleep(5);
  }
}

/** Returns the request that posts a text. */
export function postOf(session: string, text: string, { headers }: Place): string {
  return request("POST", `/sessions/${session}/messages`, headers, JSON.stringify({ text }));
}

/** Posts one message after the other, at the first place, to agents that follow the session at all places. */
async function deliveries(bench: Bench, places: readonly Place[], agents: number): Promise<Row> {
  const [first] = places;
  if (first === undefined) throw new Error("no place");
  using lane = await Lane.open(first);
  const session = await beginSession(lane, first);
  for (const place of places) await hasSession(place, session);
  const posts = Math.max(40, Math.round(bench.runMs / 10));
  const { deliveredMs, ackedMs } = await fanOut({
    places,
    followers: agents,
    path: `/sessions/${session}/stream`,
    send: (text) => lane.json(postOf(session, text, first)),
    sends: posts,
  });
  const [p50, p99] = [0.5, 0.99].map((part) => percentile(deliveredMs, part)) as [number, number];
  const where = places.length === 1 ? "one node" : `${places.length} voters, agents at all of them`;
  bench.say(`messages, ${agents} agents, ${where}: p50 ${p50.toFixed(2)}, p99 ${p99.toFixed(2)} ms`);
  const hasGoal = places.length === 1;
  return {
    what: `a message from its post until ${agents} agents have it over SSE, ${where}`,
    against: "–",
    result: `p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`,
    goal: hasGoal ? `p99 ≤ ${GOAL_MS} ms` : undefined,
    met: hasGoal ? p99 <= GOAL_MS : undefined,
    detail: `acknowledged, durable: p50 ${percentile(ackedMs, 0.5).toFixed(2)}, p99 ${percentile(ackedMs, 0.99).toFixed(2)} ms; ${posts} posts, each delivered before the next`,
  };
}

/** Opens many long polls, reads the memory, and wakes them all by one write. */
async function waits(bench: Bench, { place, program }: BenchNode): Promise<Row> {
  using lane = await Lane.open(place);
  const session = await beginSession(lane, place);
  const { position } = await lane.json(request("GET", `/sessions/${session}/messages?limit=1`, place.headers));
  await Bun.sleep(bench.idleMs / 5);
  const before = memoryOf(program.pid).privateMb;
  const wait = request("GET", `/messages?since=${String(position)}&feed=longpoll&timeout=300`, place.headers);
  const open: Lane[] = [];
  const answers: Promise<unknown>[] = [];
  while (open.length < bench.waits) {
    const count = Math.min(BEGUN_AT_ONCE, bench.waits - open.length);
    const lanes = await Promise.all(Array.from({ length: count }, () => Lane.open(place)));
    open.push(...lanes);
    answers.push(...lanes.map((each) => each.json(wait)));
  }
  const answered = Promise.all(answers);
  answered.catch(() => {});
  // This read comes after all waits were begun.
  await lane.json(request("GET", `/sessions/${session}/messages?limit=1`, place.headers));
  await Bun.sleep(bench.idleMs / 5);
  const during = memoryOf(program.pid).privateMb;
  const startMs = performance.now();
  await lane.json(postOf(session, "Wake up", place));
  const postedMs = performance.now() - startMs;
  await answered;
  const allMs = performance.now() - startMs;
  for (const each of open) each[Symbol.dispose]();
  const kb = ((during - before) * 1000) / bench.waits;
  bench.say(`waits: ${bench.waits} with ${kb.toFixed(1)} KB each`);
  return {
    what: `${bench.waits.toLocaleString("en")} waits open at one node (\`message_wait\` by long poll)`,
    against: "–",
    result: `${kb.toFixed(1)} KB each`,
    goal: undefined,
    met: undefined,
    detail: `one post is acknowledged in ${postedMs.toFixed(1)} ms and has woken all in ${allMs.toFixed(0)} ms; connections included`,
  };
}

/** Pages: until the first byte, and from a write until the page is said to have changed. */
async function pages(bench: Bench, place: Place): Promise<Row[]> {
  using lane = await Lane.open(place);
  const session = await beginSession(lane, place);
  for (let n = 0; n < 50; n += 1) await lane.json(postOf(session, `message ${n} of the page`, place));
  const rows: Row[] = [];
  const count = Math.max(30, Math.round(bench.runMs / 20));
  for (const [path, what] of [
    ["/", "the overview"],
    [`/ui/sessions/${session}`, "a session of 50 messages"],
    ["/ui/search?q=message", "a search"],
  ] as const) {
    const ms: number[] = [];
    let bytes = 0;
    for (let n = 0; n < count; n += 1) {
      const startMs = performance.now();
      const answer = await lane.ask(`GET ${path} HTTP/1.1\r\nHost: cairn\r\nAccept: text/html\r\n${place.headers}\r\n`);
      if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${answer.text.slice(0, 300)}`);
      if (n >= 5) ms.push(performance.now() - startMs);
      bytes = Buffer.byteLength(answer.text);
    }
    const [p50, p99] = [percentile(ms, 0.5), percentile(ms, 0.99)];
    bench.say(`page ${path}: p50 ${p50.toFixed(2)} ms`);
    rows.push({
      what: `page: ${what}, until its last byte (it comes in one piece)`,
      against: "–",
      result: `p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`,
      goal: undefined,
      met: undefined,
      detail: `${(bytes / 1000).toFixed(0)} KB`,
    });
  }
  rows.push(await liveLag(bench, place, lane));
  return rows;
}

async function liveLag(bench: Bench, place: Place, lane: Lane): Promise<Row> {
  const { headers } = place;
  let events = 0;
  const head = `GET /ui/live HTTP/1.1\r\nHost: cairn\r\nAccept: text/event-stream\r\n${headers}\r\n`;
  using _ = await openStream(place, head, (text) => {
    events += text.split("event: change").length - 1;
  });
  const ms: number[] = [];
  for (let n = 0; n < Math.max(5, bench.runMs / 200); n += 1) {
    const before = events;
    const startMs = performance.now();
    await lane.json(request("PUT", "/contexts/bench/live", headers, JSON.stringify({ n })));
    await eventually("the page to be told", () => events > before, { stepMs: 2 });
    ms.push(performance.now() - startMs);
    // Later than changes that are gathered into one event.
    await Bun.sleep(400);
  }
  return {
    what: "page: from a write until an open page gets word of it",
    against: "–",
    result: `p50 ${percentile(ms, 0.5).toFixed(0)} ms, p99 ${percentile(ms, 0.99).toFixed(0)} ms`,
    goal: undefined,
    met: undefined,
    detail: "changes within 250 ms are one event",
  };
}
