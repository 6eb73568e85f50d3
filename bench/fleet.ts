// Rows of a whole fleet: the compiled file as seven nodes of one test tailnet on this machine, over WireGuard. Three
// centrals at first, then two regionals and two edges.

import { localHttp } from "../test/kit/agent.ts";
import { eventually } from "../test/kit/eventually.ts";
import { type Fleet, type FleetNode, type Role, startFleet } from "../test/kit/fleet.ts";
import { catchUp } from "./catch-up.ts";
import { compare, rowOf, type Side } from "./compare.ts";
import { writeJson } from "./documents.ts";
import { failover } from "./failover.ts";
import { firstWrite } from "./first-write.ts";
import { DOCUMENT, request } from "./ingress.ts";
import { memoryOf } from "./processes.ts";
import { median, type Row, spread } from "./report.ts";
import type { Bench } from "./rows.ts";

const CONNECTIONS = 64;
/** Contexts that are read and written in turn. */
const CONTEXTS = 256;
const LIGHT = 8;

export const ids = Array.from({ length: CONTEXTS }, (_, index) => `bench/context-${index}`);
const gets = ids.map((id) => request("GET", `/contexts/${id}`, ""));
export const puts = ids.map((id) => request("PUT", `/contexts/${id}`, "", DOCUMENT));

export async function overFleet(bench: Bench): Promise<Row[]> {
  const { wanted, say } = bench;
  const rows = wanted.has("first") ? await firstWrite(bench) : [];
  const seven = wanted.has("memory") || wanted.has("edge") || wanted.has("catch-up");
  if (!seven && !wanted.has("failover")) return rows;
  say("starting three centrals");
  await using fleet = await startFleet({ centrals: 3, from: "binary", args: ["--limits-requests-per-minute", "0"] });
  if (wanted.has("failover")) rows.push(await failover(bench, fleet));
  if (!seven) return rows;
  say("adding two regionals and two edges");
  for (const role of ["regional", "regional", "edge", "edge"] as const) await fleet.join(role);
  await writeJson(await (await fleet.leader()).socket(), ids, DOCUMENT);
  await fleet.settle();
  if (wanted.has("memory")) rows.push(...(await memory(bench, fleet)));
  const edge = fleet.nodes.find(({ role }) => role === "edge");
  if (edge === undefined) throw new Error("a fleet without an edge");
  if (wanted.has("edge")) rows.push(...(await edgeHits(bench, fleet, edge)));
  if (wanted.has("catch-up")) rows.push(...(await catchUp(bench, fleet, edge)));
  return rows;
}

export async function sideOf(node: FleetNode, requests: readonly string[]): Promise<Side> {
  return { unix: await node.socket(), pids: [node.process.pid], requests };
}

async function memory(bench: Bench, fleet: Fleet): Promise<Row[]> {
  const { load, idleMs, warmMs, runMs, say } = bench;
  say("seven nodes stand idle");
  await Bun.sleep(idleMs);
  const idle = fleet.nodes.map(measured);
  const plan = { connections: LIGHT, warmMs, runMs };
  await load.run({ ...plan, ...(await sideOf(await fleet.leader(), puts)) });
  await fleet.settle();
  for (const node of fleet.nodes) await load.run({ ...plan, runMs: 500, ...(await sideOf(node, gets)) });
  const loaded = fleet.nodes.map(measured);
  const row = (what: string, found: readonly Measured[], detail: string): Row => ({
    what: `resident memory of each node, 3 centrals, 2 regionals, 2 edges, ${what}`,
    against: "–",
    result: spread(
      found.map(({ residentMb }) => residentMb),
      0,
      " MB",
    ),
    goal: undefined,
    met: undefined,
    detail: `${ROLES.map((role) => ofRole(found, role)).join("; ")} MB, in brackets without pages of files; ${detail}`,
  });
  return [
    row("idle", idle, `${idleMs / 1000} s after the last of them joined`),
    row("after a little load", loaded, `${LIGHT} connections that write to the leader, then read from each`),
  ];
}

const ROLES = ["central", "regional", "edge"] as const;

type Measured = ReturnType<typeof measured>;

function measured({ role, process }: FleetNode) {
  return { role, ...memoryOf(process.pid) };
}

function ofRole(found: readonly Measured[], wanted: Role): string {
  const those = found.filter(({ role }) => role === wanted);
  return `${wanted} ${those.map(({ residentMb, privateMb }) => `${residentMb.toFixed(0)} (${privateMb.toFixed(0)})`).join(", ")}`;
}

async function edgeHits(bench: Bench, fleet: Fleet, edge: FleetNode): Promise<Row[]> {
  const leader = await fleet.leader();
  await eventually("the edge to have every document", async () => {
    const socket = await edge.socket();
    const states = await Promise.all(ids.map((id) => localHttp(socket, `/contexts/${id}`)));
    return states.every(({ headers }) => headers.get("cairn-cache") === "hit");
  });
  const countsOf = async () => (await edge.status())?.cache;
  const before = await countsOf();
  const ours = await sideOf(edge, gets);
  const theirs = await sideOf(leader, gets);
  const many = await compare(bench, "edge hit, 64", ours, theirs, CONNECTIONS);
  const single = await compare(bench, "edge hit, 1", ours, theirs, 1);
  const after = await countsOf();
  const hits = (after?.hits ?? 0) - (before?.hits ?? 0);
  const missed = (after?.misses ?? 0) + (after?.stale ?? 0) - (before?.misses ?? 0) - (before?.stale ?? 0);
  const name = (connections: string) => `GET of a context that an edge has, its local socket, ${connections}`;
  const against = "the same from the full node, its local socket";
  const row = rowOf(name(`${CONNECTIONS} connections`), against, 1, many);
  const p50 = single.map((pair) => pair.ours.p50);
  return [
    { ...row, detail: `${row.detail}; ${hits} hits, ${missed} misses` },
    {
      ...rowOf(name("1 connection"), against, undefined, single),
      result: spread(p50, 3, " ms"),
      goal: "p50 ≤ 0.3 ms",
      met: median(p50) <= 0.3,
    },
  ];
}
