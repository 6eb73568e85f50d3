// Rows of catching up: a new regional that gets a copy of the store, one that was away and gets the log, and an edge
// that was away and reads the feed.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../test/kit/eventually.ts";
import type { Fleet, FleetNode } from "../test/kit/fleet.ts";
import { idsOf, writeAll } from "./documents.ts";
import type { Row } from "./report.ts";
import type { Bench } from "./rows.ts";

const CATCH_UP_MS = 120_000;

export async function catchUp(bench: Bench, fleet: Fleet, edge: FleetNode): Promise<Row[]> {
  const { documents, say } = bench;
  const leader = await fleet.leader();
  const write = async (name: string): Promise<number> => {
    say(`writing ${documents} documents`);
    const began = performance.now();
    await writeAll(await leader.socket(), idsOf(name, documents));
    return (documents * 1000) / (performance.now() - began);
  };
  const rate = (tookMs: number) => `${((documents * 1000) / tookMs).toFixed(0)} a second`;

  await write("copied");
  const joining = fleet.join("regional");
  const regional = await eventually("the regional to be started", () =>
    fleet.nodes.find(({ role, process }) => role === "regional" && !process.ended && process.events.length === 0),
  );
  const copied = await reached(regional, await positionOf(leader));
  await joining;
  say(`a new regional: ${copied.afterServingMs.toFixed(0)} ms`);
  const rows: Row[] = [
    {
      what: `a new regional, ${documents} documents and more, by a copy of the store`,
      against: "–",
      result: rate(copied.afterServingMs),
      ...NO_GOAL,
      detail: `${seconds(copied.afterServingMs)} from serving on the tailnet, which is when it asks to join, to the leader's position; ${seconds(copied.afterStartMs)} from exec`,
    },
  ];

  await fleet.settle();
  const store = join(regional.dataDir, "store", "CURRENT");
  const before = readFileSync(store, "utf8");
  regional.kill();
  edge.pause();
  const perSecond = await write("followed");
  const wanted = await positionOf(leader);
  await regional.restart();
  const followed = await reached(regional, wanted);
  if (readFileSync(store, "utf8") !== before) throw new Error("the regional that was away got a copy, not the log");
  say(`a regional that was away: ${followed.afterServingMs.toFixed(0)} ms`);
  rows.push({
    what: `a regional that was away for ${documents} documents, by the log`,
    against: "–",
    result: rate(followed.movingMs),
    ...NO_GOAL,
    detail: `${seconds(followed.movingMs)} from its first new change to the leader's position; ${seconds(followed.afterStartMs)} from exec, which is until the leader tries it again; they were written at ${perSecond.toFixed(0)} a second`,
  });

  edge.resume();
  const fed = await reached(edge, wanted);
  say(`an edge that was away: ${fed.movingMs.toFixed(0)} ms`);
  rows.push({
    what: `an edge that was away for ${documents} documents, by the feed`,
    against: "–",
    result: rate(fed.movingMs),
    ...NO_GOAL,
    detail: `${seconds(fed.movingMs)} from its first new item to the leader's position; ${seconds(fed.afterStartMs)} from when it was woken up`,
  });
  return rows;
}

const NO_GOAL = { goal: undefined, met: undefined };

/**
 * Waits until the node has applied that position. Returns how long after this call, after the node served, and after
 * its position first moved.
 */
async function reached(node: FleetNode, wanted: string) {
  const began = performance.now();
  await node.process.serving();
  const served = performance.now();
  let start: string | undefined;
  let moved: number | undefined;
  await eventually(
    `${node.name} to be at ${wanted}`,
    async () => {
      const position = await positionOf(node);
      start ??= position;
      if (position !== start) moved ??= performance.now();
      return seqOf(position) >= seqOf(wanted) && position.split("-")[0] === wanted.split("-")[0];
    },
    { withinMs: CATCH_UP_MS, seen: () => node.process.stderr },
  );
  const done = performance.now();
  return {
    afterStartMs: done - began,
    afterServingMs: done - served,
    // What arrived between two polls took less than the time between them.
    movingMs: Math.max(20, done - (moved ?? served)),
  };
}

async function positionOf(node: FleetNode): Promise<string> {
  return (await node.status())?.position ?? "";
}

function seqOf(position: string): number {
  return Number(position.split("-")[1] ?? -1);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
