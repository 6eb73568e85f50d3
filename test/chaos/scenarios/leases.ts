// Leases held, waited for and lost, while the leader is killed, is paused for longer than their terms, or has no
// majority: the checker looks for two holders at one time.

import { eventually } from "../../kit/eventually.ts";
import type { LeaseLoad } from "../lease-load.ts";
import type { Scenario, Trial } from "../scenario.ts";
import { THREE, VOTERS } from "../shapes.ts";

/** Longer than the terms of the load. */
const PAUSE_MS = 7_000;

async function more(trial: Trial, load: LeaseLoad, count: number): Promise<void> {
  const wanted = load.granted + count;
  await eventually(`${count} more grants`, () => load.granted >= wanted, {
    withinMs: 30_000,
    seen: () => trial.fleet.tails(),
  });
}

export const leaseLeaderKilled: Scenario = {
  name: "lease-leader-killed",
  title: "kill -9 of the leader while leases are held and waited for",
  fleet: THREE,
  inGate: true,
  seconds: 60,
  async run(trial) {
    const { fleet } = trial;
    const load = trial.leases();
    await more(trial, load, 5);
    const old = await fleet.leader();
    old.kill();
    await more(trial, load, 5);
    await old.restart();
    await old.serving();
    await fleet.voters(3);
    await more(trial, load, 3);
  },
};

export const leaseLeaderPaused: Scenario = {
  name: "lease-leader-paused",
  title: "SIGSTOP of the leader for longer than a lease lasts: what it remembers when it resumes counts for nothing",
  fleet: THREE,
  inGate: true,
  seconds: 60,
  async run(trial) {
    const { fleet } = trial;
    const load = trial.leases();
    try {
      await more(trial, load, 3);
      const old = await fleet.leader();
      const pausedMs = performance.now();
      old.pause();
      await fleet.leader(old);
      await more(trial, load, 3);
      await Bun.sleep(Math.max(0, pausedMs + PAUSE_MS - performance.now()));
      old.resume();
      await more(trial, load, 3);
    } finally {
      for (const node of fleet.nodes) if (!node.isUp && !node.process.ended) node.resume();
    }
  },
};

export const leaseQuorumLost: Scenario = {
  name: "lease-quorum-lost",
  title: "two of three voters are killed while leases are held: nothing is granted until one is back",
  fleet: VOTERS,
  outageMs: 60_000,
  seconds: 90,
  async run(trial) {
    const { fleet } = trial;
    const load = trial.leases();
    await more(trial, load, 5);
    const leader = await fleet.leader();
    const others = fleet.up().filter((node) => node !== leader);
    for (const node of others) node.kill();
    await Bun.sleep(PAUSE_MS);
    const before = load.granted;
    await Bun.sleep(PAUSE_MS);
    if (load.granted > before) throw new Error(`${load.granted - before} leases were granted without a majority`);
    for (const node of others) {
      await node.restart();
      await node.serving();
    }
    await fleet.voters(3);
    await more(trial, load, 5);
  },
};
