// docs/latency.md: how long a write takes with one, three and five voters at three round trips, sent to the leader and
// to a central that forwards it. All traffic goes through the relay of the test tailnet, which delays each packet by
// half a round trip.

import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { eventually } from "../test/kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../test/kit/fleet.ts";
import { puts, sideOf } from "./fleet.ts";
import type { LoadResult } from "./load.ts";
import { loadAverage, machine, median, type Row } from "./report.ts";
import type { Bench } from "./rows.ts";

const IN_FLIGHT = 64;
/** Round trips in ms, and the profile that `cairn` suggests for them. */
const ROUND_TRIPS = [
  { ms: 0, profile: "lan" },
  { ms: 30, profile: "home" },
  { ms: 150, profile: "wan" },
] as const;
const SETTLED_MS = 30_000;
const STABLE_MS = 1500;
/** On a busy machine there may be an election at any time. */
const TRIES = 4;
const AGAIN_MS = 1000;
/** A run lasts this many round trips longer than one without delay. */
const ROUND_TRIPS_LONG = 20;

interface Cell {
  voters: number;
  roundTripMs: number;
  /** What the leader measured; undefined for a leader without followers. */
  measuredMs: number | undefined;
  profile: string;
  atLeader: LoadResult;
  /** At another central; undefined where there is none. */
  forwarded: LoadResult | undefined;
  /** This many writes at once at the leader. */
  many: LoadResult;
}

export async function overDelays(bench: Bench): Promise<Row[]> {
  if (!bench.wanted.has("latency")) return [];
  bench.say("starting a fleet whose traffic goes by the relay");
  await using fleet = await startFleet({
    centrals: 1,
    from: "binary",
    relayed: true,
    args: ["--limits-requests-per-minute", "0"],
  });
  const cells: Cell[] = [];
  for (const voters of [1, 3, 5]) {
    while (fleet.nodes.length < voters) await fleet.join("central");
    await fleet.voters(voters);
    for (const { ms, profile } of ROUND_TRIPS) {
      await become(fleet, ms, profile);
      const cell = await measure(bench, fleet, { voters, roundTripMs: ms, profile });
      cells.push(cell);
      bench.say(
        `${voters} voters, ${ms} ms: p50 ${cell.atLeader.p50.toFixed(1)} ms, p99 ${cell.atLeader.p99.toFixed(1)}`,
      );
    }
    await become(fleet, 0, "lan");
  }
  const table = tableOf(cells);
  if (bench.documents > 10_000) writeFileSync(join(dirname(import.meta.dir), "docs", "latency.md"), page(table));
  else console.error(table);
  return [];
}

/** Another profile restarts raft in each node and may change the leader; it is set while the links are fast. */
async function become(fleet: Fleet, roundTripMs: number, profile: string): Promise<void> {
  await fleet.tailnet.link("*", "*", {});
  const leader = await fleet.leader();
  const before = (await leader.status())?.fleet;
  if (before?.profile !== profile) {
    const set = await leader.call("fleet_profile_set", { profile });
    if (set.status !== 200) throw new Error(`the profile ${profile} was not set: ${set.text}`);
    await restarted(fleet, profile, before?.term ?? 0);
  }
  if (roundTripMs > 0) await fleet.tailnet.link("*", "*", { delayMs: roundTripMs / 2 });
  await fleet.voters(fleet.nodes.length);
}

/**
 * Waits until all nodes are in one term after `term` and have stayed in it for a while: each restart brings a new term.
 */
async function restarted(fleet: Fleet, profile: string, term: number): Promise<void> {
  let stable = { term: 0, since: 0 };
  await eventually(
    `everyone to go on with the profile ${profile}`,
    async () => {
      const known = await Promise.all(fleet.up().map(async (node) => (await node.status())?.fleet));
      const terms = new Set(known.map((each) => each?.term ?? 0));
      const [now = 0] = terms;
      const goesOn = known.every((each) => each?.profile === profile && each.leader !== "");
      if (terms.size > 1 || now <= term || !goesOn) stable = { term: 0, since: 0 };
      else if (now !== stable.term) stable = { term: now, since: performance.now() };
      return stable.term > 0 && performance.now() - stable.since > STABLE_MS;
    },
    { withinMs: SETTLED_MS, seen: () => fleet.tails() },
  );
}

type Setting = Pick<Cell, "voters" | "roundTripMs" | "profile">;

async function measure(bench: Bench, fleet: Fleet, setting: Setting): Promise<Cell> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await measureOnce(bench, fleet, setting);
    } catch (error) {
      if (attempt === TRIES) throw error;
      bench.say(`once more: ${String(error).split("\n")[0]}`);
      await Bun.sleep(AGAIN_MS);
      await fleet.voters(setting.voters);
    }
  }
}

async function measureOnce(bench: Bench, fleet: Fleet, setting: Setting): Promise<Cell> {
  const { load, warmMs } = bench;
  const leader = await fleet.leader();
  const runMs = bench.runMs + ROUND_TRIPS_LONG * setting.roundTripMs;
  const run = async (node: FleetNode, connections: number) =>
    load.run({ ...(await sideOf(node, puts)), connections, warmMs, runMs });
  const atLeader = await run(leader, 1);
  const many = await run(leader, IN_FLIGHT);
  const other = fleet.up(["central"]).find((node) => node !== leader);
  const forwarded = other === undefined ? undefined : await run(other, 1);
  const report = await leader.status();
  const trips = (report?.members ?? []).flatMap(({ round_trip_ms: ms }) => (ms === null ? [] : [ms]));
  const measuredMs = trips.length === 0 ? undefined : median(trips);
  return { ...setting, measuredMs, atLeader, many, forwarded };
}

function tableOf(cells: readonly Cell[]): string {
  const both = (result: LoadResult | undefined) =>
    result === undefined ? "–" : `${shown(result.p50)} / ${shown(result.p99)}`;
  const lines = cells.map(({ voters, roundTripMs, measuredMs, profile, atLeader, forwarded, many }) => [
    `${voters}`,
    `${roundTripMs} ms${measuredMs === undefined ? "" : ` (${shown(measuredMs)})`}`,
    profile,
    both(atLeader),
    both(forwarded),
    both(many),
    many.perSecond.toFixed(0),
  ]);
  const head = [
    "voters",
    "round trip",
    "profile",
    "at the leader",
    "at another central",
    `at the leader, ${IN_FLIGHT} in flight`,
    "a second",
  ];
  return [head, head.map(() => "---"), ...lines].map((line) => `| ${line.join(" | ")} |`).join("\n");
}

function shown(ms: number): string {
  return ms < 10 ? ms.toFixed(1) : ms.toFixed(0);
}

function page(table: string): string {
  return `# How long a write takes

Made by \`npm run bench\` on ${new Date().toISOString().slice(0, 10)}; do not edit. Milliseconds from a PUT of about 1 KB until it is acknowledged: p50 / p99, one after the other unless it says otherwise.
Acknowledged means that a majority of the voters has it on disk and the leader has applied it; a full member that forwarded it has applied it too, unless it is more than 5 s behind.

${table}

- In brackets the round trip that the leader measured itself, under load.
- A write costs one round trip from the leader to the nearest majority. One voter asks nobody: its row says what the disk and the node itself take.
- Asked at another central (or a regional), a write takes a round trip more to the leader and back, and is then applied there as well, so that it is read at once where it was written.
- Writes that wait together become one entry, and on slow paths up to 16 entries are under way. So 64 at once take two or three round trips, which is what a connection that was quiet needs until its window has grown, and not 64.
- Reads of what a node has itself (\`consistency\` \`any\`, and \`session\` once it has the position) take no round trip at all.

Measured on one machine (${machine()}; load average ${loadAverage()} at the end) that carried all the nodes, the relay, the client and both ends of each encryption; all paths are relayed, and the relay holds each packet back for half the round trip. So the first lines of each block are slower than several machines on one network, while the others are what the round trip makes of them.
`;
}
