// Events and their deliveries under faults: what was acknowledged is in every log once, and arrives in order though the
// leader, which delivers, is killed, or the receiver refuses everything for a while.

import { eventually } from "../../kit/eventually.ts";
import type { EventLoad } from "../event-load.ts";
import type { Scenario, Trial } from "../scenario.ts";
import { THREE, VOTERS } from "../shapes.ts";

/** Longer than the first waits between attempts. */
const DOWN_MS = 6_000;

async function more(trial: Trial, load: EventLoad, count: number): Promise<void> {
  const wanted = { published: load.published.length + count, arrivals: load.arrivals.length + count / 2 };
  const isThere = () => load.published.length >= wanted.published && load.arrivals.length >= wanted.arrivals;
  await eventually(`${count} more events, and arrivals`, isThere, { withinMs: 60_000 }).catch(async (error) => {
    throw new Error(`${error}\n${await load.seen()}\n${trial.fleet.tails()}`);
  });
}

export const eventsLeaderKilled: Scenario = {
  name: "events-leader-killed",
  title: "kill -9 of the leader, twice, while events are published and delivered",
  fleet: THREE,
  inGate: true,
  seconds: 90,
  async run(trial) {
    const { fleet } = trial;
    const load = await trial.events();
    await more(trial, load, 60);
    for (let round = 1; round <= 2; round += 1) {
      const old = await fleet.leader();
      old.kill();
      await more(trial, load, 40);
      await old.restart();
      await old.serving();
      await fleet.voters(3);
    }
    await more(trial, load, 20);
  },
};

export const eventsReceiverDown: Scenario = {
  name: "events-receiver-down",
  title: "the receiver of events refuses everything, and the leader is paused and replaced meanwhile",
  fleet: THREE,
  inGate: true,
  seconds: 90,
  async run(trial) {
    const { fleet } = trial;
    const load = await trial.events();
    await more(trial, load, 40);
    load.isDown = true;
    const old = await fleet.leader();
    try {
      old.pause();
      await fleet.leader(old);
      await Bun.sleep(DOWN_MS);
    } finally {
      old.resume();
    }
    const before = load.published.length;
    await eventually("events to be taken while the receiver is down", () => load.published.length >= before + 20, {
      withinMs: 30_000,
      seen: () => fleet.tails(),
    });
    load.isDown = false;
    await more(trial, load, 40);
  },
};

export const eventsAllKilled: Scenario = {
  name: "events-all-killed",
  title: "every voter is killed at one moment while events are published and delivered",
  fleet: VOTERS,
  outageMs: 60_000,
  seconds: 90,
  async run(trial) {
    const { fleet } = trial;
    const load = await trial.events();
    await more(trial, load, 60);
    const nodes = fleet.up();
    for (const node of nodes) node.kill();
    await Promise.all(nodes.map((node) => node.restart()));
    await fleet.voters(3);
    await more(trial, load, 60);
  },
};
