// npm run bench: compares a node with the least that the same parts could do, as ratios, in rounds of one run that
// alternate between the two. `-- --quick` is short and only prints; `-- --only get,put` runs some rows, `-- fleet`,
// `-- agents` and `-- node` those of a group. A whole run writes bench/RESULTS.md. No row takes a path around `invoke`.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { overAgents } from "../bench/agents.ts";
import { overDeaths } from "../bench/deaths.ts";
import { overEvents } from "../bench/events.ts";
import { overFleet } from "../bench/fleet.ts";
import { overIngress } from "../bench/ingress.ts";
import { overJobs } from "../bench/jobs.ts";
import { overDelays } from "../bench/latency.ts";
import { overLibrary } from "../bench/library-size.ts";
import { overPeers } from "../bench/peers.ts";
import { Load } from "../bench/processes.ts";
import { loadAverage, machine, type Row, tableOf } from "../bench/report.ts";
import { type Bench, GROUPS, ROWS, type RowName } from "../bench/rows.ts";
import { overSearch } from "../bench/search.ts";
import { overTailnet } from "../bench/tailnet.ts";
import { overRaft } from "../bench/voters.ts";
import { BuildError, ensureHostParts } from "./native.ts";
import { host } from "./targets.ts";

const root = dirname(import.meta.dir);
try {
  process.exit(await main());
} catch (error) {
  const usage = error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");
  if (!usage && !(error instanceof BuildError)) throw error;
  console.error(`cairn: ${(error as Error).message}`);
  process.exit(2);
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    args: process.argv.slice(2),
    options: {
      quick: { type: "boolean", default: false },
      million: { type: "boolean", default: false },
      only: { type: "string" },
    },
    allowPositionals: true,
  });
  if (process.platform !== "linux") throw new BuildError("the bench reads /proc, so it runs on Linux");
  const groups = positionals.map(groupOf);
  if (host === undefined) throw new BuildError(`no Go half for ${process.platform}-${process.arch}`);
  // An older build of the Go half may speak another protocol with the TypeScript half.
  ensureHostParts(host);
  const rowNames = groups.length === 0 ? ROWS : groups.flat();
  const wanted = new Set(values.only === undefined ? rowNames : values.only.split(",").map(rowName));
  const started = new Date();
  const loadBefore = loadAverage();
  const sockets = mkdtempSync(join(tmpdir(), "cairn-b-"));
  const data = join(root, "build", "bench", `run-${process.pid}`);
  mkdirSync(data, { recursive: true, mode: 0o700 });
  await using load = new Load();
  const times = values.quick
    ? { rounds: 3, warmMs: 500, runMs: 1000, idleMs: 5000, documents: 4000, searched: [1000], waits: 1000 }
    : {
        ...{ rounds: 5, warmMs: 500, runMs: 2000, idleMs: 15_000, documents: 20_000 },
        ...{ searched: [1000, 100_000, ...(values.million ? [1_000_000] : [])], waits: 10_000 },
      };
  const bench: Bench = { ...times, load, wanted, data, sockets, say: (line) => console.error(`cairn: ${line}`) };
  try {
    const rows: Row[] = [];
    const failures: string[] = [];
    const parts = {
      ...{
        ingress: overIngress,
        tailnet: overTailnet,
        library: overLibrary,
        raft: overRaft,
        fleet: overFleet,
        latency: overDelays,
        deaths: overDeaths,
        jobs: overJobs,
      },
      ...{ agents: overAgents, events: overEvents, search: overSearch, peers: overPeers },
    };
    for (const [part, run] of Object.entries(parts)) {
      try {
        rows.push(...(await run(bench)));
      } catch (error) {
        // The rows of the other parts took minutes too.
        failures.push(`${part}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      }
    }
    const table = tableOf(rows);
    console.log(table);
    const command = ["npm run bench", ...(process.argv.length > 2 ? ["--", ...process.argv.slice(2)] : [])].join(" ");
    const about = { started, loadBefore, command };
    const counts = !values.quick && values.only === undefined && failures.length === 0;
    if (counts && !values.million && positionals.length === 0)
      writeFileSync(join(root, "bench", "RESULTS.md"), results(rows, table, about));
    for (const failure of failures) console.error(`cairn: no rows of ${failure}`);
    console.error(`cairn: ${((Date.now() - started.getTime()) / 1000).toFixed(0)} s`);
    return failures.length === 0 ? 0 : 1;
  } finally {
    rmSync(data, { recursive: true, force: true });
    rmSync(sockets, { recursive: true, force: true });
  }
}

function groupOf(text: string): readonly RowName[] {
  if (text === "node" || text === "fleet" || text === "agents") return GROUPS[text];
  throw new BuildError(`there are the groups ${Object.keys(GROUPS).join(" and ")}, no "${text}"`);
}

function rowName(text: string): RowName {
  const found = ROWS.find((row) => row === text);
  if (found === undefined) throw new BuildError(`--only takes ${ROWS.join(", ")}, not "${text}"`);
  return found;
}

function results(
  rows: readonly Row[],
  table: string,
  { started, loadBefore, command }: { started: Date; loadBefore: string; command: string },
): string {
  const goals = rows.filter((row) => row.met !== undefined);
  const missed = goals.filter((row) => !row.met).length;
  return `# Bench

Made by \`${command}\` on ${started.toISOString().slice(0, 10)}; do not edit. ${missed === 0 ? "Every goal is met." : `${missed} of ${goals.length} goals are missed.`}
Machine: ${machine()}; load average ${loadBefore} before it, ${loadAverage()} at its end. Bun ${Bun.version}.

${table}

How to read it: each row alternates between the node and its yardstick and takes the ratio of each pair. Ratios above one mean that the node is faster. Other work on the machine does not move both sides alike: it takes most from the faster one, so a busy machine flatters the node. A load average well above zero before the run, or a wide spread, says that the ratios are too good.
CPU is what the server's process (all threads) used per request; it says more than throughput where load generator and server share few cores. What is measured, and against what, is in bench/DESIGN.md.
`;
}
