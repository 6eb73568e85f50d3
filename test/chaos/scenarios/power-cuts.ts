// Power cuts: of one node, and of all at one moment. Each disk then has what was synced, and in half of the cuts any
// part of the rest. Nothing acknowledged is lost, no member votes twice in a term, and each is the device that it was.

import { PoweredNodes, powerNeeds } from "../power.ts";
import type { Scenario } from "../scenario.ts";
import { THREE } from "../shapes.ts";

export const powerCutOne: Scenario = {
  name: "power-cut-one",
  title: "the power of a follower, then of the leader is cut under load, three times each",
  fleet: THREE,
  needs: powerNeeds,
  seconds: 240,
  async run(trial) {
    const { fleet, random } = trial;
    const load = trial.load();
    await load.more(30);
    const voters = fleet.up(["central"]);
    await PoweredNodes.during(trial, voters, async (powered) => {
      for (const who of random.shuffled(["leader", "leader", "leader", "follower", "follower", "follower"])) {
        await load.more(random.between(10, 60));
        const leader = await fleet.leader();
        const node = who === "leader" ? leader : random.pick(voters.filter((each) => each !== leader));
        trial.say(`${node.name}, ${who === "leader" ? "the leader" : "a follower"}`);
        await powered.cut([node]);
      }
      await load.more(30);
      await fleet.caughtUp();
    });
    await load.more(30);
    await fleet.caughtUp();
  },
};

export const powerCutAll: Scenario = {
  name: "power-cut-all",
  title: "the power of all nodes is cut at one moment under load, three times",
  fleet: THREE,
  inGate: true,
  needs: powerNeeds,
  outageMs: 60_000,
  seconds: 150,
  async run(trial) {
    const { fleet, random } = trial;
    const load = trial.load({ patienceMs: 60_000 });
    await load.more(30);
    const nodes = fleet.up(["central", "edge"]);
    await PoweredNodes.during(trial, nodes, async (powered) => {
      for (let round = 1; round <= 3; round++) {
        await load.more(random.between(10, 60));
        await powered.cut(nodes);
        const tookMs = await load.more(1);
        trial.say(`the first write ${Math.round(tookMs)} ms after all serve`);
      }
      await load.more(30);
      await fleet.caughtUp();
    });
    await load.more(30);
    await fleet.caughtUp();
  },
};
