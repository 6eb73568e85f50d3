// A run of `cairn simulate`: agents connect and play scenes in rounds that a seed decides; at the end every target must
// show the same contexts. The first failed check ends the run.

import { forEachConcurrently } from "../lib/concurrently.ts";
import { Agent, CheckFailedError, type Revision, type Target } from "./agent.ts";
import { Ledger } from "./ledger.ts";
import { Random } from "./random.ts";
import { Latencies, type Reporter } from "./report.ts";
import { FIRST, listIds, SCENES, setUp } from "./scenes.ts";
import { type Stage, TAG } from "./stage.ts";
import { checkSessions, leave } from "./team-scenes.ts";

export { CheckFailedError, type Target } from "./agent.ts";
export { SEEDS } from "./random.ts";
export { jsonReporter, peopleReporter } from "./report.ts";

/** Most agents of a run. */
export const MAX_AGENTS = 10_000;
/** Most concurrent scenes, and concurrent calls of the last check. */
const MAX_CONCURRENT = 64;
/**
 * Among the first agents, every other one uses the older revision. Not all: each of those keeps a stream open, and a
 * caller may have a bounded number of streams.
 */
const REVISIONS_ALTERNATE = 32;

/** What a run does, and where. */
export interface SimulateOptions {
  targets: readonly [Target, ...Target[]];
  /** The space of everything that is written. */
  space: string;
  /** At least one for each target. */
  agents: number;
  rounds: number;
  seed: number;
  /** Removes what the run has written; without rounds, what earlier runs have left. */
  clean: boolean;
  reporter: Reporter;
  signal: AbortSignal;
}

/**
 * Plays a run. Rejects with CheckFailedError for the first failed check, or with the SDK's error of a failed
 * connection.
 */
export async function simulate(options: SimulateOptions): Promise<void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const latencies = new Latencies();
  const agents: Agent[] = [];
  try {
    const { targets, seed, space } = options;
    const connect = (name: string, target: Target, revision: Revision) =>
      Agent.connect(name, target, revision, { latencies, signal });
    for (let at = 0; at < Math.max(options.agents, targets.length); at++) {
      const revision = at % 2 === 1 && at < REVISIONS_ALTERNATE ? "older" : "newer";
      agents.push(await connect(`agent-${at + 1}`, targets[at % targets.length] ?? targets[0], revision));
    }
    // The seed decides what is played; the random rest keeps the ids of runs with the same seed apart.
    const run = `${seed.toString(36)}-${crypto.randomUUID().slice(0, 6)}`;
    const stage: Stage = {
      space,
      run,
      ledger: new Ledger(),
      agents,
      ...{ acknowledged: new Map(), handedOff: 0, handles: new Map() },
    };
    if (options.rounds > 0) await play(stage, options, latencies);
    if (options.clean) options.reporter.cleaned(await cleanUp(stage, options.rounds > 0));
  } finally {
    stop.abort();
    await Promise.allSettled(agents.map((agent) => agent.close()));
  }
}

async function play(stage: Stage, options: SimulateOptions, latencies: Latencies): Promise<void> {
  const { seed, space, rounds, reporter, signal, targets } = options;
  const { run, agents, ledger } = stage;
  reporter.started({ seed, space, run, agents: agents.length, rounds, places: targets.map(({ name }) => name) });
  const startMs = performance.now();
  await setUp(stage);
  for (let round = 1; round <= rounds; round++) {
    signal.throwIfAborted();
    await forEachConcurrently(agents, MAX_CONCURRENT, async (agent, at) => {
      const random = new Random(seed + round * 7919 + at * 104_729);
      // The first rounds play each scene once, so that a short run covers all of them.
      const scene = (round <= FIRST.length ? FIRST[(at + round) % FIRST.length] : undefined) ?? random.pick(SCENES);
      const other = agents[(at + 1 + random.below(Math.max(1, agents.length - 1))) % agents.length] ?? agent;
      const begunMs = performance.now();
      try {
        const result = await scene(stage, agent, other, random);
        reporter.played({ round, ...result, ms: performance.now() - begunMs });
      } catch (error) {
        throw located(error, round, agent);
      }
    });
  }
  const contexts = await checkSameEverywhere(stage, targets.length);
  const sessions = await checkSessions(stage, targets.length);
  await leave(stage);
  reporter.passed({
    calls: latencies.count,
    writes: ledger.writes,
    conflicts: ledger.conflicts,
    contexts,
    sessions,
    seconds: (performance.now() - startMs) / 1000,
    p50Ms: latencies.quantile(0.5),
    p99Ms: latencies.quantile(0.99),
  });
}

/** Adds round and agent to an error. */
function located(error: unknown, round: number, agent: Agent): unknown {
  if (!(error instanceof Error)) return error;
  return new CheckFailedError(`in round ${round} ${agent.name} (${agent.revision} revision): ${error.message}`, {
    cause: error,
  });
}

/** Checks that each target shows exactly what was acknowledged. Returns the number of contexts. */
async function checkSameEverywhere({ agents, ledger, space, run }: Stage, targets: number): Promise<number> {
  ledger.checkNoGaps();
  const { ids, position } = ledger;
  const known = new Set(ids);
  for (const agent of agents.slice(0, targets)) {
    for (const id of await listIds(agent, `${space}/${run}/`, TAG, position))
      if (!known.has(id)) throw new CheckFailedError(`${id} is at ${agent.target}, and no agent wrote it`);
    await forEachConcurrently(ids, MAX_CONCURRENT, async (id) => {
      ledger.checkRead(id, agent.target, await agent.call("context_get", { id, min_position: position }));
    });
  }
  return ids.length;
}

/** Removes the contexts of this run, or of all runs, and returns their number; other contexts in the space stay. */
async function cleanUp({ agents, ledger, space }: Stage, onlyThisRun: boolean): Promise<number> {
  const [agent] = agents;
  if (agent === undefined) return 0;
  const ids = onlyThisRun ? ledger.ids : [...(await listIds(agent, `${space}/`, TAG, ledger.position))];
  await forEachConcurrently(ids, MAX_CONCURRENT, async (id) => {
    const { refusal } = await agent.write("context_delete", { id });
    if (refusal !== undefined && refusal.code !== "deleted")
      throw new CheckFailedError(
        `context_delete of ${id} was refused: ${refusal.code}: ${refusal.message} ${refusal.hint}`,
      );
  });
  return ids.length;
}
