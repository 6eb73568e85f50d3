// Jobs of nodes, of agents and of schedules while members are killed, frozen and cut off, drawn at random: the checker
// looks for jobs that are lost, done twice or beside each other, or begun after their end.

import { eventually } from "../../kit/eventually.ts";
import type { FleetNode, FleetOptions } from "../../kit/fleet.ts";
import { heal, split } from "../cuts.ts";
import type { Scenario, Trial } from "../scenario.ts";
import { THREE, UNLIMITED } from "../shapes.ts";

/** Three voters that agree to run the program of the load. */
const WORKERS: FleetOptions = { ...THREE, edges: 0, args: [...UNLIMITED, "--fleet-run", "tally"] };
/** Each fault this many times, at least. */
const TIMES = 3;
/** Due times of the schedules that must pass. */
const DUE_TIMES = 2;
/** Some faults are longer than a claim, which has 5 s. */
const LONGEST_MS = 9_000;

type Fault = (trial: Trial, node: FleetNode) => Promise<void>;

const FAULTS: Readonly<Record<string, Fault>> = {
  async killed({ random }, node) {
    node.kill();
    await Bun.sleep(random.between(0, 3_000));
    await node.restart();
    await node.serving();
  },
  async frozen({ random }, node) {
    node.pause();
    try {
      await Bun.sleep(random.between(500, LONGEST_MS));
    } finally {
      node.resume();
    }
  },
  async "cut off"({ fleet, random }, node) {
    const others = fleet.nodes.filter((each) => each !== node);
    await split(fleet, [node], others);
    await Bun.sleep(random.between(500, LONGEST_MS));
    await heal(fleet);
  },
};

export const jobsHarmed: Scenario = {
  name: "jobs-harmed",
  title: "members are killed, frozen and cut off at random while jobs run, are cancelled, and are due",
  fleet: WORKERS,
  seconds: 420,
  async run(trial) {
    const { fleet, random } = trial;
    const load = await trial.jobs();
    await eventually("the first lines of the ledger", () => load.lines >= 20, { withinMs: 60_000 });
    for (let round = 0; round < TIMES || load.passed < DUE_TIMES; round += 1)
      for (const name of random.shuffled(Object.keys(FAULTS))) {
        const leader = await fleet.leader();
        // The leader more often than by chance: it counts claims.
        const node = random.chance(0.4) ? leader : random.pick(fleet.nodes);
        trial.say(`${node.name}${node === leader ? " (leader)" : ""} is ${name}; ${load.started} jobs started`);
        await FAULTS[name]?.(trial, node);
        await fleet.voters(3);
        await Bun.sleep(random.between(500, 3_000));
      }
  },
};
