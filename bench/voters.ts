// Rows of the replicated log: three voters against one, over loopback TCP with everything on this machine; one voter
// against a log without raft; and all of them without a disk that has to write.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../test/kit/eventually.ts";
import { compare, rowOf, type Side } from "./compare.ts";
import { DOCUMENT, request } from "./ingress.ts";
import { type Line, type Program, startScript } from "./processes.ts";
import type { MemberRow } from "./raft-member.ts";
import type { Row } from "./report.ts";
import type { Bench } from "./rows.ts";

const IN_FLIGHT = 64;
/** Contexts that are written in turn. */
const CONTEXTS = 256;
/** A folder in memory, where nothing is synced to a disk. */
export const TMPFS = "/dev/shm";
const UNSYNCED = "the same with store and raft folder on tmpfs (no fsync)";

export async function overRaft(bench: Bench): Promise<Row[]> {
  const { wanted } = bench;
  const unsynced = mkdtempSync(join(TMPFS, "cairn-b-"));
  try {
    return [
      ...(wanted.has("voters") ? await threeAgainstOne(bench, unsynced) : []),
      ...(wanted.has("direct") ? await raftAgainstDirect(bench, unsynced) : []),
    ];
  } finally {
    rmSync(unsynced, { recursive: true, force: true });
  }
}

async function threeAgainstOne(bench: Bench, unsynced: string): Promise<Row[]> {
  const ids = Array.from({ length: CONTEXTS }, (_, index) => `bench/context-${index}`);
  const requests = ids.map((id) => request("PUT", `/contexts/${id}`, "", DOCUMENT));
  const sideOf = (voters: Voters): Side => ({ unix: voters.socket, pids: voters.pids, requests });
  const rows: Row[] = [];
  const puts = (voters: string) => `durable PUT, ${voters}, ${IN_FLIGHT} in flight, loopback transport`;
  await using one = await startVoters(bench, 1, join(bench.data, "one"));
  await using three = await startVoters(bench, 3, join(bench.data, "three"));
  const pairs = await compare(bench, "3 voters against 1", sideOf(three), sideOf(one), IN_FLIGHT);
  rows.push(rowOf(puts("3 voters"), "1 voter", 0.35, pairs));
  for (const [count, durable] of [
    [1, one],
    [3, three],
  ] as const) {
    const many = count === 1 ? "1 voter" : `${count} voters`;
    await using ceiling = await startVoters(bench, count, join(unsynced, `voters-${count}`));
    const found = await compare(bench, `${many}, no fsync`, sideOf(durable), sideOf(ceiling), IN_FLIGHT);
    rows.push(rowOf(puts(many), UNSYNCED, undefined, found));
  }
  return rows;
}

/** The whole node of src/node/start.ts in both, over ingress.sock; with raft the Go half is in the same process. */
async function raftAgainstDirect(bench: Bench, unsynced: string): Promise<Row[]> {
  const programs: Program[] = [];
  const start = async (home: string, engine: "raft" | "direct"): Promise<Side> => {
    const data = join(home, `node-${engine}`);
    mkdirSync(data, { recursive: true, mode: 0o700 });
    const { program, ready } = await startScript("node.ts", data, bench.sockets, engine);
    programs.push(program);
    const headers = String(ready["headers"]);
    const ids = Array.from({ length: CONTEXTS }, (_, index) => `bench/context-${index}`);
    const requests = ids.map((id) => request("PUT", `/contexts/${id}`, headers, DOCUMENT));
    return { unix: String(ready["socket"]), pids: [program.pid], requests };
  };
  try {
    const raft = await start(bench.data, "raft");
    const direct = await start(bench.data, "direct");
    const rows: Row[] = [];
    const pairs = await compare(bench, "1 voter against direct", raft, direct, IN_FLIGHT);
    rows.push(rowOf(`durable PUT, 1 voter, ${IN_FLIGHT} in flight, whole node`, "`direct`: no raft", undefined, pairs));
    const ceiling = await start(unsynced, "raft");
    const found = await compare(bench, "whole node, no fsync", raft, ceiling, IN_FLIGHT);
    rows.push(rowOf(`durable PUT, 1 voter, ${IN_FLIGHT} in flight, whole node`, UNSYNCED, undefined, found));
    return rows;
  } finally {
    for (const program of programs) await program.end();
  }
}

/** Running voters. */
export interface Voters extends AsyncDisposable {
  /** Local socket of the leader. */
  socket: string;
  /** Local sockets of all, the leader's first. */
  sockets: string[];
  /** Every process of the fleet. */
  pids: number[];
}

interface Member {
  program: Program;
  server: string;
  address: string;
  ready: Line;
  ask: (command: object) => Promise<unknown>;
}

/** Starts these members, of which the first one leads, and waits until all of them vote. */
export async function startVoters(bench: Bench, count: number, home: string): Promise<Voters> {
  const members: Member[] = [];
  const end = async () => {
    // The leader last, when there is no member left that it could transfer leadership to.
    for (const { program } of members.toReversed()) await program.end();
  };
  try {
    const first = await startMember(bench, join(home, "1"));
    members.push(first);
    for (let at = 2; at <= count; at += 1) members.push(await joinMember(bench, join(home, String(at)), members));
    const rows: MemberRow[] = members.map(({ server }, index) => ({
      node: `n${index}`,
      server,
      name: `bench-${index}`,
    }));
    await first.ask({ do: "rows", rows });
    await eventually("everyone to vote", async () => {
      const known = await Promise.all(members.map(({ ask }) => ask({ do: "members" })));
      return known.every((each) => votersOf(each) === count);
    });
    const pids = members.flatMap(({ program, ready }) => [program.pid, Number(ready["driver"])]);
    const sockets = members.map(({ ready }) => String(ready["socket"]));
    return { socket: String(first.ready["socket"]), sockets, pids, [Symbol.asyncDispose]: end };
  } catch (error) {
    await end();
    throw error;
  }
}

async function joinMember(bench: Bench, folder: string, members: readonly Member[]): Promise<Member> {
  const [leader] = members;
  if (leader === undefined) throw new Error("no member leads");
  const joiner = await startMember(bench, folder, String(leader.ready["fleet"]), String(leader.ready["epoch"]));
  for (const { ask, server, address } of members) {
    await ask({ do: "peer", server: joiner.server, address: joiner.address });
    await joiner.ask({ do: "peer", server, address });
  }
  for (const step of ["add", "promote"]) {
    const known = (await leader.ask({ do: "members" })) as { index: number };
    await leader.ask({ do: step, server: joiner.server, previous: known.index });
  }
  return joiner;
}

async function startMember(bench: Bench, folder: string, ...fleet: string[]): Promise<Member> {
  const { program, ready } = await startScript("raft-member.ts", folder, bench.sockets, ...fleet);
  let last = 0;
  const ask = async (command: object): Promise<unknown> => {
    last += 1;
    const mine = last;
    program.send({ ask: mine, ...command });
    const { ok, error } = await program.line((line) => line["event"] === "done" && line["ask"] === mine);
    if (error !== undefined) throw new Error(`${JSON.stringify(command)}: ${String(error)}`);
    return ok;
  };
  return { program, ready, server: String(ready["server"]), address: String(ready["address"]), ask };
}

function votersOf(known: unknown): number {
  const { members } = known as { members: { voter: boolean }[] };
  return members.filter(({ voter }) => voter).length;
}
