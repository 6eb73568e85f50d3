// The row of deaths: how long a fleet takes no writes when its leader is killed, frozen or cut off, in each profile.
// All traffic goes by the relay of the test tailnet, where links can be cut.

import { localHttp } from "../test/kit/agent.ts";
import { within } from "../test/kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../test/kit/fleet.ts";
import { contentOf } from "./documents.ts";
import { type Row, spread } from "./report.ts";
import type { Bench } from "./rows.ts";

const PROFILES = ["lan", "home", "wan"] as const;
const DEATHS = ["killed", "frozen", "cut off"] as const;
const ROUNDS = 5;
/** Clients at each of the other nodes, how long each waits for an answer, and its pause between two writes. */
const CLIENTS = 4;
const ANSWER_MS = 1000;
const PAUSE_MS = 10;
const FIRST_MS = 120_000;
const CAUGHT_UP_MS = 120_000;

/** Runs the row, if it is wanted. */
export async function overDeaths(bench: Bench): Promise<Row[]> {
  if (!bench.wanted.has("deaths")) return [];
  const isWhole = bench.idleMs > 10_000;
  const rows: Row[] = [];
  for (const profile of isWhole ? PROFILES : PROFILES.slice(0, 1)) {
    bench.say(`starting three centrals, profile ${profile}`);
    await using fleet = await startFleet({
      ...{ centrals: 3, profile, relayed: true, from: "binary" },
      args: ["--limits-requests-per-minute", "0"],
    });
    for (const death of DEATHS) rows.push(await rowOf(bench, fleet, { profile, death, rounds: isWhole ? ROUNDS : 1 }));
  }
  return rows;
}

interface Case {
  profile: (typeof PROFILES)[number];
  death: (typeof DEATHS)[number];
  rounds: number;
}

async function rowOf({ say }: Bench, fleet: Fleet, { profile, death, rounds }: Case): Promise<Row> {
  const tookMs: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const leader = await fleet.leader();
    const others = fleet.nodes.filter((node) => node !== leader);
    // Both ways to each of them work before.
    await firstWrite(others);
    const since = performance.now();
    await begin(fleet, death, leader, others);
    await firstWrite(others);
    tookMs.push(performance.now() - since);
    say(`leader ${death}, ${profile}: ${tookMs.at(-1)?.toFixed(0)} ms until a write was acknowledged`);
    await end(fleet, death, leader, others);
    await fleet.settle(CAUGHT_UP_MS);
  }
  return {
    what: `leader ${death} → first acknowledged write, profile ${profile}`,
    against: "–",
    result: spread(tookMs, 0, " ms"),
    goal: undefined,
    met: undefined,
    detail: `${rounds === 1 ? "once" : `${rounds} times`}, 3 voters by a relay without delay; a write that began after it, at one of the other two`,
  };
}

async function begin(fleet: Fleet, death: Case["death"], leader: FleetNode, others: FleetNode[]): Promise<void> {
  if (death === "killed") leader.kill();
  else if (death === "frozen") leader.pause();
  else await cut(fleet, leader, others, true);
}

async function end(fleet: Fleet, death: Case["death"], leader: FleetNode, others: FleetNode[]): Promise<void> {
  if (death === "frozen") leader.resume();
  else if (death === "cut off") await cut(fleet, leader, others, false);
  else {
    await leader.restart();
    await leader.serving();
  }
}

async function cut(fleet: Fleet, leader: FleetNode, others: FleetNode[], isCut: boolean): Promise<void> {
  const link = isCut ? { cut: true } : {};
  await Promise.all(others.flatMap((each) => [fleet.link(leader, each, link), fleet.link(each, leader, link)]));
}

let written = 0;

/** Resolves when a write that begins now, or later, is acknowledged by one of these nodes. */
async function firstWrite(nodes: readonly FleetNode[]): Promise<void> {
  const done = new AbortController();
  const client = async (node: FleetNode): Promise<void> => {
    while (!done.signal.aborted) {
      written += 1;
      const id = `bench/death-${written}`;
      const signal = AbortSignal.any([done.signal, AbortSignal.timeout(ANSWER_MS)]);
      const headers = { "content-type": "text/plain" };
      const put = { method: "PUT", body: contentOf(id), headers, signal };
      const answer = await localHttp(await node.socket(), `/contexts/${id}`, put).catch(() => undefined);
      if (answer !== undefined && answer.status < 300) return;
      await Bun.sleep(PAUSE_MS);
    }
  };
  const clients = nodes.flatMap((node) => Array.from({ length: CLIENTS }, () => client(node)));
  try {
    await within("an acknowledged write", Promise.race(clients), FIRST_MS);
  } finally {
    done.abort();
    await Promise.all(clients);
  }
}
