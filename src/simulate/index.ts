// A run of `cairn simulate`: agents connect, play scenes in rounds by a seed, and at the end every place must show the same. The first thing wrong ends it.

import { Agent, type Era, type Place, Wrong } from "./agent.ts";
import { Ledger } from "./ledger.ts";
import { Random } from "./random.ts";
import { FIRST, listed, SCENES, type Stage, setUp, TAG } from "./scenes.ts";
import { type Tell, Times } from "./tell.ts";

export { type Place, Wrong } from "./agent.ts";
export { SEEDS } from "./random.ts";
export { type Tell, tellJson, tellPeople } from "./tell.ts";

/** Most agents of a run. */
export const MAX_AGENTS = 10_000;
/** Scenes, and calls of the last check, at a time. */
const AT_ONCE = 64;
/** Agents of the older revision keep a stream open, and a caller has a bounded number of those: among the first so many, every other one. */
const ERAS_ALTERNATE = 32;

/** What is played. */
export interface SimulateOptions {
  places: readonly [Place, ...Place[]];
  /** Space that everything is written below. */
  space: string;
  /** At least one for each place. */
  agents: number;
  rounds: number;
  seed: number;
  /** Removes at the end what was written; without rounds, what earlier runs left. */
  clean: boolean;
  tell: Tell;
  signal: AbortSignal;
}

/** Plays a run. Rejects with Wrong, naming the first thing that cannot be, or with what the SDK says of a place that is not there. */
export async function simulate(options: SimulateOptions): Promise<void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const times = new Times();
  const agents: Agent[] = [];
  try {
    const { places, seed, space } = options;
    const connect = (name: string, place: Place, era: Era) => Agent.connect(name, place, era, { times, signal });
    for (let at = 0; at < Math.max(options.agents, places.length); at++) {
      const era = at % 2 === 1 && at < ERAS_ALTERNATE ? "older" : "newer";
      agents.push(await connect(`agent-${at + 1}`, places[at % places.length] ?? places[0], era));
    }
    // The seed says what is played, the rest keeps runs of one seed apart.
    const run = `${seed.toString(36)}-${crypto.randomUUID().slice(0, 6)}`;
    const stage: Stage = { space, run, ledger: new Ledger(), agents, counted: new Map(), handedOff: 0 };
    if (options.rounds > 0) await play(stage, options, times);
    if (options.clean) options.tell.cleaned(await cleanUp(stage, options.rounds > 0));
  } finally {
    stop.abort();
    await Promise.allSettled(agents.map((agent) => agent.close()));
  }
}

async function play(stage: Stage, options: SimulateOptions, times: Times): Promise<void> {
  const { seed, space, rounds, tell, signal, places } = options;
  const { run, agents, ledger } = stage;
  tell.began({ seed, space, run, agents: agents.length, rounds, places: places.map(({ name }) => name) });
  const startMs = performance.now();
  await setUp(stage);
  for (let round = 1; round <= rounds; round++) {
    signal.throwIfAborted();
    await each(agents, async (agent, at) => {
      const random = new Random(seed + round * 7919 + at * 104_729);
      // First everything once, so that a short run shows all of it too.
      const scene = (round <= FIRST.length ? FIRST[(at + round) % FIRST.length] : undefined) ?? random.pick(SCENES);
      const other = agents[(at + 1 + random.below(Math.max(1, agents.length - 1))) % agents.length] ?? agent;
      const begunMs = performance.now();
      try {
        const deed = await scene(stage, agent, other, random);
        tell.deed({ round, ...deed, ms: performance.now() - begunMs });
      } catch (error) {
        throw inWords(error, round, agent);
      }
    });
  }
  const contexts = await sameEverywhere(stage, places.length);
  tell.ended({
    calls: times.count,
    writes: ledger.writes,
    conflicts: ledger.conflicts,
    contexts,
    seconds: (performance.now() - startMs) / 1000,
    p50Ms: times.share(0.5),
    p99Ms: times.share(0.99),
  });
}

/** Does something with each item, AT_ONCE of them at a time; rejects at once with the first that fails, and begins no more. */
async function each<Item>(items: readonly Item[], act: (item: Item, at: number) => Promise<void>): Promise<void> {
  const left = items.entries();
  let failed = false;
  const worker = async (): Promise<void> => {
    for (const [at, item] of left) {
      if (failed) return;
      await act(item, at);
    }
  };
  const workers = Array.from({ length: Math.min(AT_ONCE, items.length) }, worker);
  try {
    await Promise.all(workers);
  } finally {
    failed = true;
  }
}

function inWords(error: unknown, round: number, agent: Agent): unknown {
  if (!(error instanceof Error)) return error;
  return new Wrong(`in round ${round} ${agent.name} (${agent.era} revision): ${error.message}`, { cause: error });
}

/** Checks that each place shows exactly what was acknowledged. Answers how many contexts there are. */
async function sameEverywhere({ agents, ledger, space, run }: Stage, places: number): Promise<number> {
  ledger.withoutGaps();
  const { ids, position } = ledger;
  const known = new Set(ids);
  for (const agent of agents.slice(0, places)) {
    for (const id of await listed(agent, `${space}/${run}/`, TAG, position))
      if (!known.has(id)) throw new Wrong(`${id} is at ${agent.place}, and no agent wrote it`);
    await each(ids, async (id) => {
      ledger.read(id, agent.place, await agent.call("context_get", { id, min_position: position }));
    });
  }
  return ids.length;
}

/** Removes what this run wrote, or what all runs left; contexts of others in the space stay. Answers how many were removed. */
async function cleanUp({ agents, ledger, space }: Stage, onlyThisRun: boolean): Promise<number> {
  const [agent] = agents;
  if (agent === undefined) return 0;
  const ids = onlyThisRun ? ledger.ids : [...(await listed(agent, `${space}/`, TAG, ledger.position))];
  await each(ids, async (id) => {
    const { refusal } = await agent.write("context_delete", { id });
    if (refusal !== undefined && refusal.code !== "deleted")
      throw new Wrong(`context_delete of ${id} was refused: ${refusal.code}: ${refusal.message} ${refusal.hint}`);
  });
  return ids.length;
}
