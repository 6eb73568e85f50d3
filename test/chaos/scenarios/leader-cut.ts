// The leader is cut off in one direction: its messages are lost, or those to it. In both cases it acknowledges nothing
// that is lost, and another node leads.

import type { Scenario, Trial } from "../scenario.ts";
import { THREE } from "../shapes.ts";

export const leaderMute: Scenario = {
  name: "leader-mute",
  title: "a one-way cut: nobody hears the leader, which hears everybody",
  fleet: THREE,
  inGate: true,
  seconds: 40,
  run: (trial) => cutOneWay(trial, "out"),
};

export const leaderDeaf: Scenario = {
  name: "leader-deaf",
  title: "a one-way cut: the leader hears nobody, and is heard",
  fleet: THREE,
  seconds: 60,
  run: (trial) => cutOneWay(trial, "in"),
};

async function cutOneWay(trial: Trial, way: "out" | "in"): Promise<void> {
  const { fleet } = trial;
  await trial.follow();
  const load = trial.load();
  await load.more(30);
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
    trial.say(`${old.name} cut off (${way})`);
    const next = await fleet.leader(old);
    trial.say(`${next.name} leads`);
    await load.more(20);
  } finally {
    await cut(false);
  }
  trial.say("whole again");
  await load.more(20);
  await fleet.caughtUp();
  trial.say("all have caught up");
}
