// Nodes that end and return: all of them in turn as in an upgrade, all at one moment as in a power cut, one repeatedly
// while it joins.

import type { Scenario } from "../scenario.ts";
import { THREE } from "../shapes.ts";

export const rollingRestart: Scenario = {
  name: "rolling-restart",
  title: "every node is stopped and started in turn under load, as at an upgrade",
  fleet: { ...THREE, regionals: 1 },
  seconds: 120,
  async run(trial) {
    const { fleet } = trial;
    await trial.follow();
    const load = trial.load();
    await load.more(30);
    for (const node of fleet.up(["central", "regional", "edge"])) {
      const before = performance.now();
      await node.process.stop();
      await node.restart();
      await node.serving();
      await fleet.voters(3);
      await load.more(20);
      trial.say(`${node.name} again after ${Math.round(performance.now() - before)} ms`);
    }
    await fleet.caughtUp();
  },
};

export const allKilled: Scenario = {
  name: "all-killed",
  title: "every node is killed at one moment, three times: a power cut",
  fleet: THREE,
  outageMs: 60_000,
  seconds: 120,
  async run(trial) {
    const { fleet } = trial;
    const load = trial.load({ patienceMs: 60_000 });
    for (let round = 1; round <= 3; round++) {
      await load.more(50);
      const nodes = fleet.up(["central", "edge"]);
      for (const node of nodes) node.kill();
      await Promise.all(nodes.map((node) => node.restart()));
      await Promise.all(nodes.map((node) => node.serving()));
      const tookMs = await load.more(1);
      trial.say(`round ${round}: the first write ${Math.round(tookMs)} ms after all serve`);
    }
    await load.more(30);
    await fleet.caughtUp();
  },
};

const CRASHES = 8;

export const joinCrashed: Scenario = {
  name: "join-crashed",
  title: "a joiner is killed at any moment of its way in, again and again, while the fleet is written to",
  fleet: THREE,
  seconds: 150,
  async run(trial) {
    const { fleet, random } = trial;
    const load = trial.load({ clients: 8, padding: 10_000 });
    await load.more(150);
    const node = await fleet.joining("regional");
    for (let crash = 0; crash < CRASHES; crash++) {
      // From the first log lines of a start to some time after the copy of the store has become its own.
      await Bun.sleep(random.between(50, 2500));
      node.kill();
      await node.restart();
    }
    await fleet.joined(node);
    trial.say(`${node.name} is a member after ${CRASHES} kills`);
    await load.more(30);
    await fleet.caughtUp();
  },
};
