// Rows of work and checks: jobs of agents and of nodes, a guard, blobs until enough members hold them, a thousand
// probes on one node, and what a fleet that does nothing costs.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { PART_BYTES } from "../src/lib/bounds.ts";
import { sha256Hex } from "../src/lib/sha256.ts";
import { eventually } from "../test/kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../test/kit/fleet.ts";
import { memoryOf } from "./processes.ts";
import { percentile, type Row } from "./report.ts";
import type { Bench, RowName } from "./rows.ts";

const CALL_MS = 60_000;
/** Agents that start, claim and finish jobs at the same time. */
const AGENTS = 16;
/** Jobs of nodes, one after the other. */
const PROGRAMS = 20;
const PROBES = 1000;
const BLOB_BYTES = 64 * 1024 * 1024;
const HOUR_MS = 3_600_000;

const OWN: readonly RowName[] = ["jobs", "blobs", "probes", "idle"];

type Named = Pick<Row, "what" | "result" | "detail">;
const plain = (row: Named): Row => ({ ...row, against: "–", goal: undefined, met: undefined });

/** Runs the rows that are wanted. */
export async function overJobs(bench: Bench): Promise<Row[]> {
  const { wanted, say } = bench;
  const rows: Row[] = [];
  if (!OWN.some((row) => wanted.has(row))) return rows;
  const server = createServer((_request, response) => response.end('{"n":1}'));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const at = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    for (const voters of [1, 3]) {
      say(`starting ${voters} ${voters === 1 ? "central" : "centrals"} for jobs`);
      await using fleet = await startFleet({
        ...{ centrals: voters, from: "binary" },
        args: ["--limits-requests-per-minute", "0", "--fleet-run", "*", "--outbound-allow", at],
      });
      if (wanted.has("idle")) rows.push(await idle(bench, fleet, voters));
      if (wanted.has("jobs")) rows.push(...(await jobs(bench, fleet, voters)));
      if (wanted.has("blobs") && voters > 1) rows.push(await blobs(bench, fleet));
      if (wanted.has("probes") && voters === 1) rows.push(await probes(bench, fleet, `http://${at}/`));
    }
  } finally {
    server.close();
  }
  return rows;
}

async function ask(node: FleetNode, operation: string, input: object): Promise<Record<string, unknown>> {
  const { status, body, text } = await node.call(operation, input, CALL_MS);
  if (status !== 200) throw new Error(`${operation}: ${status} ${text.slice(0, 300)}`);
  return body;
}

const votersOf = (count: number) => (count === 1 ? "1 voter" : `${count} voters over WireGuard`);

async function jobs(bench: Bench, fleet: Fleet, voters: number): Promise<Row[]> {
  const leader = await fleet.leader();
  const held = { argv: ["sh", "-c", "sleep 3600"], space: "bench" };
  const actions = { turn: { space: "bench" }, true: { argv: ["true"], space: "bench" }, hold: held };
  const declarations = Object.entries(actions).map(([name, declared]) => ({ kind: "action", name, declared }));
  await ask(leader, "declaration_apply", { declarations });
  await eventually("the actions are in force", async () => {
    const { status } = await leader.call("job_start", { action: "turn", space: "bench" }, CALL_MS);
    return status === 200;
  });
  return [
    await agents(bench, leader, voters),
    await programs(bench, leader, voters),
    await guard(bench, fleet, voters),
  ];
}

/** Jobs of agents: each turn starts one, claims one and finishes it. */
async function agents({ runMs, say }: Bench, leader: FleetNode, voters: number): Promise<Row> {
  const tookMs: number[] = [];
  const beganAt = performance.now();
  const turns = async () => {
    while (performance.now() - beganAt < 2 * runMs) {
      const startedAt = performance.now();
      await ask(leader, "job_start", { action: "turn", space: "bench" });
      const { job } = await ask(leader, "job_claim", { space: "bench", actions: ["turn"] });
      const { id, fence } = (job ?? {}) as { id?: string; fence?: string };
      if (id === undefined) throw new Error("job_claim gave no job");
      await ask(leader, "job_finish", { id, fence, outcome: "succeeded" });
      tookMs.push(performance.now() - startedAt);
    }
  };
  await Promise.all(Array.from({ length: AGENTS }, turns));
  const perSecond = (tookMs.length * 1000) / (performance.now() - beganAt);
  say(`jobs of agents, ${voters}: ${perSecond.toFixed(0)} a second`);
  return plain({
    what: `jobs of agents: started, claimed and finished, ${AGENTS} at once, ${votersOf(voters)}`,
    result: `${perSecond.toFixed(0)} a second`,
    detail: `a job p50 ${percentile(tookMs, 0.5).toFixed(1)}, p99 ${percentile(tookMs, 0.99).toFixed(1)} ms: three durable writes`,
  });
}

/** Jobs of nodes: until `job_wait` says that the program has ended. The yardstick is the same program alone. */
async function programs({ say, idleMs }: Bench, leader: FleetNode, voters: number): Promise<Row> {
  const count = idleMs > 10_000 ? PROGRAMS : PROGRAMS / 4;
  const tookMs: number[] = [];
  const aloneMs: number[] = [];
  for (let at = 0; at < count; at += 1) {
    const startedAt = performance.now();
    const { id } = await ask(leader, "job_start", { action: "true", space: "bench" });
    const { job } = await ask(leader, "job_wait", { id, timeout_seconds: 50 });
    if ((job as { state: string }).state !== "succeeded") throw new Error(`${id}: ${JSON.stringify(job)}`);
    tookMs.push(performance.now() - startedAt);
    const aloneAt = performance.now();
    await Bun.spawn(["true"]).exited;
    aloneMs.push(performance.now() - aloneAt);
  }
  const [p50, p99] = [percentile(tookMs, 0.5), percentile(tookMs, 0.99)];
  say(`jobs of nodes, ${voters}: p50 ${p50.toFixed(0)} ms`);
  return {
    ...plain({
      what: `a job of nodes, from job_start until its end is known, ${votersOf(voters)}`,
      result: `p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms`,
      detail: `${count} of them, one after the other; the program alone p50 ${percentile(aloneMs, 0.5).toFixed(1)} ms; up to 0.6 s are for offers of other nodes`,
    }),
    against: "the program without a fleet",
  };
}

/** The memory of the process that guards a program. */
async function guard({ say }: Bench, fleet: Fleet, voters: number): Promise<Row> {
  const leader = await fleet.leader();
  const { id } = await ask(leader, "job_start", { action: "hold", space: "bench" });
  let worker = "";
  await eventually(`${id} runs`, async () => {
    const { job } = await ask(leader, "job_get", { id });
    worker = (job as { worker?: string }).worker ?? "";
    return (job as { state: string }).state === "running";
  });
  const node = fleet.nodes.find((each) => each.id === worker) ?? leader;
  const guards = childrenOf(node.process.pid).map((pid) => memoryOf(pid).privateMb);
  await ask(leader, "job_cancel", { id });
  if (guards.length === 0) throw new Error(`the node ${worker} has no child while a job runs there`);
  const text = `${Math.max(...guards).toFixed(1)} MB`;
  say(`guard, ${voters}: ${text}`);
  return plain({
    what: `the guard of a program, its memory without pages of files, ${votersOf(voters)}`,
    result: text,
    detail: "one process for each attempt of a job and each copy of a service",
  });
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

/** Bytes a second from the first part until as many members hold the blob as asked. */
async function blobs({ say }: Bench, fleet: Fleet): Promise<Row> {
  const leader = await fleet.leader();
  const bytes = crypto.getRandomValues(new Uint8Array(65_536));
  const whole = Buffer.concat(Array.from({ length: BLOB_BYTES / bytes.length }, () => bytes));
  const about = { space: "bench", sha256: sha256Hex(whole), bytes: whole.length };
  const beganAt = performance.now();
  let received = 0;
  await eventually(
    "enough members hold the blob",
    async () => {
      const part = whole.subarray(received, received + PART_BYTES);
      const data = part.length === 0 ? {} : { offset: received, data: part.toString("base64") };
      const put = await ask(leader, "blob_put", { ...about, ...data });
      received = Number(put["received"]);
      return put["stored"] === true;
    },
    { withinMs: 300_000, stepMs: 1 },
  );
  const perSecond = whole.length / 1e6 / ((performance.now() - beganAt) / 1000);
  say(`blob: ${perSecond.toFixed(1)} MB a second`);
  return plain({
    what: "a blob, until enough members hold it, 3 voters over WireGuard",
    result: `${perSecond.toFixed(1)} MB a second`,
    detail: `${(BLOB_BYTES / 1e6).toFixed(0)} MB in parts of ${(PART_BYTES / 1e6).toFixed(1)} MB by the local socket, as base64 in JSON`,
  });
}

/** A thousand probes each minute on one node. */
async function probes({ idleMs, say }: Bench, fleet: Fleet, url: string): Promise<Row> {
  const leader = await fleet.leader();
  const names = Array.from({ length: PROBES }, (_, at) => `bench-${at}`);
  for (let at = 0; at < PROBES; at += 200) {
    const declared = { type: "http", target: url, interval: 60, value: "/n" };
    const declarations = names.slice(at, at + 200).map((name) => ({ kind: "probe", name, declared }));
    await ask(leader, "declaration_apply", { declarations });
  }
  let up = 0;
  const isUp = async () => {
    const { probes: found } = await ask(leader, "probe_list", { state: "up" });
    up = (found as unknown[]).length;
    return up === PROBES;
  };
  await eventually("all probes are up", isUp, { withinMs: 180_000, stepMs: 2000, seen: () => `${up} are` });
  const found = await costOf(leader, idleMs > 10_000 ? 120_000 : 20_000);
  say(`${PROBES} probes: ${found.cpu.toFixed(2)} % of a core`);
  return plain({
    what: `${PROBES.toLocaleString("en-US")} HTTP probes each minute on one node`,
    result: `${found.cpu.toFixed(2)} % of a core`,
    detail: `over ${found.seconds.toFixed(0)} s; ${found.writes.toFixed(0)} changes an hour; ${found.privateMb.toFixed(0)} MB without pages of files; the server is in the bench`,
  });
}

/** What a node costs that has nothing to do. */
async function idle({ idleMs, say }: Bench, fleet: Fleet, voters: number): Promise<Row> {
  await Bun.sleep(idleMs);
  const found = await costOf(await fleet.leader(), 2 * idleMs);
  say(`idle, ${voters}: ${found.cpu.toFixed(2)} % of a core`);
  return plain({
    what: `a leader that has nothing to do, ${votersOf(voters)}`,
    result: `${found.cpu.toFixed(2)} % of a core`,
    detail: `over ${found.seconds.toFixed(0)} s; ${found.writes.toFixed(0)} changes and ${found.writtenMb.toFixed(1)} MB to the disk an hour; ${found.privateMb.toFixed(0)} MB without pages of files`,
  });
}

interface Cost {
  seconds: number;
  /** Of one core, in percent. */
  cpu: number;
  /** Changes, and MB that reached the disk, in an hour. */
  writes: number;
  writtenMb: number;
  privateMb: number;
}

async function costOf(node: FleetNode, forMs: number): Promise<Cost> {
  const { pid } = node.process;
  const before = { ...usedBy(pid), seq: await appliedBy(node), at: performance.now() };
  await Bun.sleep(forMs);
  const passedMs = performance.now() - before.at;
  const after = { ...usedBy(pid), seq: await appliedBy(node) };
  return {
    seconds: passedMs / 1000,
    cpu: ((after.cpuMs - before.cpuMs) * 100) / passedMs,
    writes: ((after.seq - before.seq) * HOUR_MS) / passedMs,
    writtenMb: ((after.written - before.written) * HOUR_MS) / passedMs / 1e6,
    privateMb: memoryOf(pid).privateMb,
  };
}

/** CPU time of a process with all its threads, and the bytes that it gave to the disk. */
function usedBy(pid: number): { cpuMs: number; written: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const written = /^write_bytes: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1];
  return { cpuMs: (Number(fields[11]) + Number(fields[12])) * 10, written: Number(written) };
}

async function appliedBy(node: FleetNode): Promise<number> {
  const position = (await node.status())?.position ?? "";
  return Number(position.slice(position.lastIndexOf("-") + 1));
}
