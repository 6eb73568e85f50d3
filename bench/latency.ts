// docs/latency.md: how long a write takes with one, three and five voters at three round trips, asked at the leader and at a central that forwards it.
// All traffic goes by the relay of the test tailnet, which holds each packet back for half a round trip.

import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Bench } from "../scripts/bench.ts";
import { eventually } from "../test/kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../test/kit/fleet.ts";
import { puts, sideOf } from "./fleet.ts";
import type { LoadResult } from "./load.ts";
import { machine, type Row } from "./report.ts";

const IN_FLIGHT = 64;
/** Round trips in ms, and the profile that `cairn` suggests for them. */
const ROUND_TRIPS = [
  { ms: 0, profile: "lan" },
  { ms: 30, profile: "home" },
  { ms: 150, profile: "wan" },
] as const;
const SETTLED_MS = 30_000;

interface Cell {
  voters: number;
  roundTripMs: number;
  profile: string;
  atLeader: LoadResult;
  /** By another central; undefined where there is none. */
  forwarded: LoadResult | undefined;
  /** So many at once at the leader. */
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

/** Another profile starts raft anew in each node, and may bring another leader; it is set while the links are fast. */
async function become(fleet: Fleet, roundTripMs: number, profile: string): Promise<void> {
  await fleet.tailnet.link("*", "*", {});
  const set = await (await fleet.leader()).call("fleet_profile_set", { profile });
  if (set.status !== 200) throw new Error(`the profile ${profile} was not set: ${set.text}`);
  await eventually(
    `everyone to know the profile ${profile}`,
    async () => {
      const known = await Promise.all(fleet.up().map((node) => node.status()));
      return known.every((report) => report?.fleet.profile === profile && report.fleet.leader !== "");
    },
    { withinMs: SETTLED_MS },
  );
  if (roundTripMs > 0) await fleet.tailnet.link("*", "*", { delayMs: roundTripMs / 2 });
  await fleet.voters(fleet.nodes.length);
}

async function measure(
  bench: Bench,
  fleet: Fleet,
  { voters, roundTripMs, profile }: Pick<Cell, "voters" | "roundTripMs" | "profile">,
): Promise<Cell> {
  const { load, warmMs, runMs } = bench;
  const leader = await fleet.leader();
  const run = async (node: FleetNode, connections: number) =>
    load.run({ ...(await sideOf(node, puts)), connections, warmMs, runMs });
  const atLeader = await run(leader, 1);
  const many = await run(leader, IN_FLIGHT);
  const other = fleet.up(["central"]).find((node) => node !== leader);
  const forwarded = other === undefined ? undefined : await run(other, 1);
  return { voters, roundTripMs, profile, atLeader, many, forwarded };
}

function tableOf(cells: readonly Cell[]): string {
  const both = (result: LoadResult | undefined) =>
    result === undefined ? "–" : `${shown(result.p50)} / ${shown(result.p99)}`;
  const lines = cells.map(({ voters, roundTripMs, profile, atLeader, forwarded, many }) => [
    `${voters}`,
    `${roundTripMs} ms`,
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
Acknowledged means that a majority of the voters has it on disk and the answering node has applied it.

${table}

- A write costs one round trip from the leader to the nearest majority. One voter asks nobody: its row says what the disk and the node itself take.
- Asked at another central (or a regional), a write takes a round trip more to the leader and back, and is then applied there as well, so that it is read at once where it was written.
- Writes that wait together become one entry; on slow paths up to 16 entries are under way. So 64 at once take little longer than one.
- Reads of what a node has itself (\`consistency\` \`any\`, and \`session\` once it has the position) take no round trip at all.

Measured on one machine (${machine()}) that carried all the nodes, the relay, the client and both ends of each encryption; all paths are relayed, and the relay holds each packet back for half the round trip. So the first lines of each block are slower than several machines on one network, while the others are what the round trip makes of them.
`;
}
