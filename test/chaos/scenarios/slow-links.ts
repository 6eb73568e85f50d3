// Wide-area links: 30 and 150 ms, jitter, loss. The leader stays, writes continue, and when it dies another one
// follows.

import { heal, linkAll } from "../cuts.ts";
import type { Scenario, Trial } from "../scenario.ts";
import { THREE } from "../shapes.ts";

export const slowLinks30: Scenario = {
  name: "slow-links-30",
  title: "30 ms round trip with jitter and 2 % loss, profile home",
  fleet: { ...THREE, edges: 0, profile: "home" },
  seconds: 90,
  run: (trial) => slow(trial, { delayMs: 13, jitterMs: 4, loss: 0.02 }, 15_000),
};

export const slowLinks150: Scenario = {
  name: "slow-links-150",
  title: "150 ms round trip with jitter and 2 % loss, profile wan",
  fleet: { ...THREE, edges: 0, profile: "wan" },
  outageMs: 60_000,
  seconds: 150,
  run: (trial) => slow(trial, { delayMs: 70, jitterMs: 10, loss: 0.02 }, 30_000),
};

async function slow(trial: Trial, link: Parameters<typeof linkAll>[2], failoverMs: number): Promise<void> {
  const { fleet } = trial;
  await linkAll(fleet, fleet.up(), link);
  await trial.follow();
  const load = trial.load({ clients: 8 });
  const first = await fleet.leader();
  const term = (await first.status())?.fleet.term;
  const tookMs = await load.more(150, 60_000);
  trial.say(`150 writes in ${Math.round(tookMs)} ms`);
  const after = (await (await fleet.leader()).status())?.fleet.term;
  // A leader may transfer leadership to a voter with a faster disk (replication.md 25), which depends on chance on one
  // busy machine.
  const handedOver = fleet.nodes.some(({ process }) => process.stderr.includes("fleet: handing over to"));
  if (after !== term && !handedOver)
    throw new Error(`the leader changed under no other fault: term ${term} became ${after}`);
  const old = await fleet.leader();
  old.kill();
  const waitedMs = await load.more(10, failoverMs);
  trial.say(`${old.name} killed; ten writes later after ${Math.round(waitedMs)} ms`);
  await old.restart();
  await old.serving();
  await load.more(20, 30_000);
  await heal(fleet);
  await fleet.caughtUp();
}
