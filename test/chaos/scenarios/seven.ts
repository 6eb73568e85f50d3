// Three centrals, two regionals, two edges, and every fault that the kit knows, one after the other and some at the
// same time, chosen by the seed.

import type { FleetNode } from "../../kit/fleet.ts";
import { heal, split } from "../cuts.ts";
import { nodeTarget } from "../fleet-clients.ts";
import type { Scenario, Trial } from "../scenario.ts";
import { UNLIMITED } from "../shapes.ts";

const ROUNDS = 10;

type Fault = (trial: Trial) => Promise<string>;

const pickFull = ({ fleet, random }: Trial): FleetNode => random.pick(fleet.up());

/** Each begins a fault that `mend` ends; several can affect a majority of the centrals at once. */
const FAULTS: readonly Fault[] = [
  async (trial) => {
    const node = pickFull(trial);
    node.kill();
    return `${node.name} killed`;
  },
  async ({ fleet, random }) => {
    const node = random.pick(fleet.up(["central", "regional", "edge"]));
    node.pause();
    return `${node.name} stopped`;
  },
  async ({ fleet, random }) => {
    const node = random.pick(fleet.up(["central", "regional", "edge"]));
    await split(
      fleet,
      [node],
      fleet.nodes.filter((other) => other !== node),
    );
    return `${node.name} cut off`;
  },
  async (trial) => {
    const node = pickFull(trial);
    for (const other of trial.fleet.nodes) if (other !== node) await trial.fleet.link(node, other, { cut: true });
    return `${node.name} not heard`;
  },
  async ({ fleet }) => {
    await fleet.tailnet.link("*", "*", { delayMs: 40, jitterMs: 20, loss: 0.05 });
    return "all links slow and lossy";
  },
  async ({ fleet }) => {
    const leader = await fleet.leaderNow();
    const said = await leader?.call("fleet_transfer", {}, 8000).catch(() => undefined);
    return `${leader?.name ?? "nobody"} asked to hand over: ${said?.status ?? "no answer"}`;
  },
];

export const seven: Scenario = {
  name: "seven",
  title: "three centrals, two regionals, two edges, and faults of every kind",
  fleet: { centrals: 3, regionals: 2, edges: 2, relayed: true, profile: "lan", args: UNLIMITED },
  outageMs: 60_000,
  seconds: 300,
  async run(trial) {
    const { fleet, random } = trial;
    await trial.follow();
    const load = trial.load({ clients: 8, patienceMs: 60_000 });
    const edges = () => fleet.up(["edge"]).map((node) => nodeTarget(trial.device, node));
    trial.load({ targets: edges, writes: 0.2, consistencies: ["any", "session"], clients: 3, patienceMs: 60_000 });
    await load.more(40);
    for (let round = 1; round <= ROUNDS; round++) {
      const faults = [random.pick(FAULTS), ...(random.chance(0.4) ? [random.pick(FAULTS)] : [])];
      for (const fault of faults) trial.say(`round ${round}: ${await fault(trial)}`);
      await Bun.sleep(random.between(300, 3500));
      await mend(trial);
      await load.more(15);
    }
    await fleet.voters(3);
    await load.more(30);
    await fleet.caughtUp();
  },
};

async function mend({ fleet }: Trial): Promise<void> {
  await heal(fleet);
  for (const node of fleet.nodes) {
    if (node.process.ended) {
      await node.restart();
      await node.serving();
    } else if (!node.isUp) node.resume();
  }
}
