// Cuts in both directions: the leader alone, a fleet in two parts, and links that are cut and restored in any direction
// for a while.

import type { FleetOptions } from "../../kit/fleet.ts";
import { heal, split } from "../cuts.ts";
import { nodeTarget } from "../fleet-clients.ts";
import type { Scenario } from "../scenario.ts";
import { THREE } from "../shapes.ts";

/** Five voters. */
const FIVE: FleetOptions = { ...THREE, centrals: 5, edges: 0 };

export const leaderIsolated: Scenario = {
  name: "leader-isolated",
  title: "a two-way cut between the leader and all others; its clients still reach it",
  fleet: THREE,
  seconds: 60,
  async run(trial) {
    const { fleet } = trial;
    await trial.follow();
    const load = trial.load();
    await load.more(30);
    const old = await fleet.leader();
    await split(
      fleet,
      [old],
      fleet.up().filter((node) => node !== old),
    );
    // Its own clients use no other node: whatever it acknowledges to them must be there at the end.
    const lonely = trial.load({ targets: () => [nodeTarget(trial.device, old)], clients: 3, patienceMs: 4000 });
    const next = await fleet.leader(old);
    trial.say(`${old.name} alone; ${next.name} leads`);
    await load.more(30);
    const kept = lonely.rows.filter(({ operation, outcome }) => operation === "put" && outcome === "ok").length;
    trial.say(`${old.name} acknowledged ${kept} writes before it knew`);
    await heal(fleet);
    await lonely.more(5);
    await load.more(20);
    await fleet.caughtUp();
  },
};

export const splitInTwo: Scenario = {
  name: "split-in-two",
  title: "two of five voters, the leader among them, are cut off from the other three",
  fleet: FIVE,
  seconds: 90,
  async run(trial) {
    const { fleet } = trial;
    await trial.follow();
    const load = trial.load();
    await load.more(30);
    const old = await fleet.leader();
    const others = fleet.up(["central"]).filter((node) => node !== old);
    const minority = [old, ...others.slice(0, 1)];
    await split(fleet, minority, others.slice(1));
    const next = await fleet.leader(old);
    trial.say(`${minority.map(({ name }) => name).join(" and ")} cut off; ${next.name} leads`);
    await load.more(30);
    await heal(fleet);
    await load.more(20);
    await fleet.caughtUp();
  },
};

const FLAPS = 12;

export const flappingLinks: Scenario = {
  name: "flapping-links",
  title: "links are cut and made whole in any direction for a while, more of them than a majority may miss",
  fleet: FIVE,
  outageMs: 60_000,
  seconds: 120,
  async run(trial) {
    const { fleet, random } = trial;
    await trial.follow();
    const load = trial.load({ patienceMs: 60_000 });
    await load.more(30);
    for (let flap = 0; flap < FLAPS; flap++) {
      const nodes = fleet.up(["central"]);
      for (let cut = random.between(2, 8); cut > 0; cut--) {
        const from = random.pick(nodes);
        const to = random.pick(nodes);
        if (from !== to) await fleet.link(from, to, random.chance(0.7) ? { cut: true } : { delayMs: 200, loss: 0.1 });
      }
      await Bun.sleep(random.between(200, 2500));
      if (random.chance(0.5)) await heal(fleet);
    }
    await heal(fleet);
    trial.say(`whole after ${FLAPS} changes; ${load.acknowledged} writes were acknowledged meanwhile`);
    await load.more(30);
    await fleet.caughtUp();
  },
};
