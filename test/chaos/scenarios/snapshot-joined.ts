// A new full replica gets the whole store as a copy while writes continue: its content then equals that of all others.

import type { Scenario } from "../scenario.ts";
import { THREE } from "../shapes.ts";

export const snapshotJoined: Scenario = {
  name: "snapshot-joined",
  title: "a replica that has nothing gets a copy of the store while it is written to",
  fleet: THREE,
  inGate: true,
  seconds: 60,
  async run(trial) {
    const { fleet } = trial;
    // Documents of some size, so that the copy is not made and installed between two writes.
    const load = trial.load({ clients: 8, padding: 10_000 });
    await load.more(150);
    const began = performance.now();
    const joining = fleet.join("regional");
    await load.more(100);
    const joined = await joining;
    trial.say(
      `${joined.name} joined in ${Math.round(performance.now() - began)} ms while ${load.acknowledged} writes were made`,
    );
    await load.more(30);
    await load.stop();
    const position = await fleet.settle();
    trial.say(`all stand at ${position}, ${joined.name} too`);
  },
};
