// Elections in which candidates collide: voters with slow links are left without a leader, again and again, and voters
// are killed while they vote. Each votes once in a term, and a term has one leader.

import { heal, linkAll } from "../cuts.ts";
import type { Scenario } from "../scenario.ts";
import { THREE } from "../shapes.ts";

const ROUNDS = 5;
/** Long beside the spread of the election timeouts of `lan`, so that two campaign before either knows of the other. */
const SLOW = { delayMs: 130, jitterMs: 20 };

export const votesCollide: Scenario = {
  name: "votes-collide",
  title: "elections over slow links in which candidates collide, and voters that are killed while they vote",
  fleet: THREE,
  outageMs: 60_000,
  seconds: 200,
  async run(trial) {
    const { fleet, random } = trial;
    const load = trial.load({ patienceMs: 60_000 });
    await load.more(20);
    for (let round = 1; round <= ROUNDS; round++) {
      const centrals = fleet.up(["central"]);
      const old = await fleet.leader();
      await linkAll(fleet, centrals, SLOW);
      old.pause();
      await Bun.sleep(random.between(1_500, 3_000));
      const voter = random.pick(centrals.filter((node) => node !== old));
      voter.kill();
      await voter.process.exited();
      old.resume();
      await voter.restart();
      await voter.serving();
      await heal(fleet);
      const next = await fleet.leader();
      await fleet.voters(3);
      await load.more(10, 60_000);
      trial.say(`round ${round}: ${next.name} leads after ${old.name}; ${voter.name} was killed meanwhile`);
    }
  },
};
