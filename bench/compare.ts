// One comparison: pairs of runs, the node and its yardstick in turn, and the row that they make.

import type { LoadPlan, LoadResult } from "./load.ts";
import { median, type Row, spread } from "./report.ts";
import type { Bench } from "./rows.ts";

export type Side = Pick<LoadPlan, "unix" | "pids" | "requests" | "connect">;

export interface Pair {
  ours: LoadResult;
  theirs: LoadResult;
}

/** Runs `rounds` pairs; every other pair begins with the yardstick, so that neither side gains from its position. */
export async function compare(
  bench: Bench,
  name: string,
  ours: Side,
  theirs: Side,
  connections: number,
): Promise<Pair[]> {
  const { load, rounds, warmMs, runMs } = bench;
  const run = (side: Side) => load.run({ ...side, connections, warmMs, runMs });
  const pairs: Pair[] = [];
  for (let round = 0; round < rounds; round++) {
    const first = await run(round % 2 === 0 ? ours : theirs);
    const second = await run(round % 2 === 0 ? theirs : ours);
    const pair = round % 2 === 0 ? { ours: first, theirs: second } : { ours: second, theirs: first };
    pairs.push(pair);
    const ratio = (pair.ours.perSecond / pair.theirs.perSecond).toFixed(3);
    bench.say(
      `${name} ${round + 1}/${rounds}: ${Math.round(pair.ours.perSecond)} against ${Math.round(pair.theirs.perSecond)} a second, ratio ${ratio}`,
    );
  }
  return pairs;
}

/** Returns the row of a comparison by requests a second; a goal is the least ratio. */
export function rowOf(what: string, against: string, goal: number | undefined, pairs: readonly Pair[]): Row {
  const ratios = pairs.map((pair) => pair.ours.perSecond / pair.theirs.perSecond);
  const side = (pick: (pair: Pair) => number, digits: number) => median(pairs.map(pick)).toFixed(digits);
  return {
    what,
    against,
    result: spread(ratios, 2),
    goal: goal === undefined ? undefined : `≥ ${goal}`,
    met: goal === undefined ? undefined : median(ratios) >= goal,
    detail: [
      `${side((pair) => pair.ours.perSecond, 0)} / ${side((pair) => pair.theirs.perSecond, 0)} a second`,
      `p50 ${side((pair) => pair.ours.p50, 2)} / ${side((pair) => pair.theirs.p50, 2)} ms`,
      `p99 ${side((pair) => pair.ours.p99, 2)} / ${side((pair) => pair.theirs.p99, 2)} ms`,
      `CPU ${side((pair) => pair.ours.serverCpuUs, 0)} / ${side((pair) => pair.theirs.serverCpuUs, 0)} µs`,
    ].join("; "),
  };
}
