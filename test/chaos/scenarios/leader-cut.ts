// The leader is cut off in one direction, then in the other: first nobody hears it, then it hears nobody. Either way it acknowledges nothing that is lost, and another leads.

import type { Scenario } from "../scenario.ts";
import { THREE } from "../shapes.ts";

export const leaderCut: Scenario = {
  name: "leader-cut",
  title: "one-way cuts of the leader, out and in",
  fleet: THREE,
  inGate: true,
  seconds: 60,
  async run(trial) {
    const { fleet } = trial;
    await trial.follow();
    const load = trial.load();
    await load.more(30);
    for (const way of ["out", "in"] as const) {
      const old = await fleet.leader();
      const others = fleet.up(["central"]).filter((node) => node !== old);
      const cut = async (isCut: boolean) => {
        for (const other of others) {
          const [from, to] = way === "out" ? [old, other] : [other, old];
          await fleet.link(from, to, { cut: isCut });
        }
      };
      try {
        await cut(true);
        const next = await fleet.leader(old);
        trial.say(`${old.name} cut off (${way}); ${next.name} leads`);
        await load.more(20);
      } finally {
        await cut(false);
      }
      await load.more(20);
      await fleet.settle();
    }
  },
};
