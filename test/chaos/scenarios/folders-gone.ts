// Either folder of a member is lost, or an older copy of it is put back, or two members' folders are exchanged: the node finds out by itself, sets its data aside where they cannot go on, and is a member again; nothing acknowledged is lost in the fleet.

import type { FleetNode } from "../../kit/fleet.ts";
import { asides, back, copied, exchange, killed, lose, type Part } from "../folders.ts";
import type { Scenario, Trial } from "../scenario.ts";
import { THREE_AND_ONE } from "../shapes.ts";

export const foldersLost: Scenario = {
  name: "folders-lost",
  title: "a voter and a regional each lose the store, the raft folder, and both",
  fleet: THREE_AND_ONE,
  seconds: 240,
  async run(trial) {
    const load = trial.load();
    await load.more(30);
    for (const who of ["voter", "regional"] as const)
      for (const parts of [["store"], ["raft"], ["store", "raft"]] as const) {
        const node = await victim(trial, who);
        await killed(node);
        lose(node, ...parts);
        await returns(trial, node, `lost ${parts.join(" and ")}`);
        await load.more(10);
      }
  },
};

export const foldersOld: Scenario = {
  name: "folders-rolled-back",
  title: "a voter and a regional come back with an older copy of the store, of the raft folder, and of both",
  fleet: THREE_AND_ONE,
  seconds: 300,
  async run(trial) {
    const load = trial.load();
    await load.more(30);
    for (const who of ["voter", "regional"] as const)
      for (const parts of [["store"], ["raft"], ["store", "raft"]] as const) {
        const node = await victim(trial, who);
        await killed(node);
        const putBack = copied(node, ...parts);
        await back(trial.fleet, node);
        await load.more(20);
        await killed(node);
        putBack();
        await returns(trial, node, `rolled back ${parts.join(" and ")}`);
        await load.more(10);
      }
  },
};

export const foldersExchanged: Scenario = {
  name: "folders-exchanged",
  title: "a voter and a regional have each other's store, then each other's raft folder",
  fleet: THREE_AND_ONE,
  seconds: 200,
  async run(trial) {
    const load = trial.load();
    await load.more(30);
    for (const part of ["store", "raft"] as const satisfies readonly Part[]) {
      const [one, other] = [await victim(trial, "voter"), await victim(trial, "regional")];
      await Promise.all([killed(one), killed(other)]);
      exchange(one, other, part);
      await returns(trial, one, `has the ${part} of ${other.name}`);
      await returns(trial, other, `has the ${part} of ${one.name}`);
      await load.more(10);
    }
  },
};

async function victim({ fleet }: Trial, who: "voter" | "regional"): Promise<FleetNode> {
  const leader = await fleet.leader();
  const role = who === "voter" ? "central" : "regional";
  const found = fleet.up([role]).find((node) => node !== leader);
  if (found === undefined) throw new Error(`there is no ${who} beside the leader`);
  return found;
}

async function returns(trial: Trial, node: FleetNode, what: string): Promise<void> {
  const before = asides(node).length;
  const began = performance.now();
  const starts = await back(trial.fleet, node);
  await trial.fleet.voters(3);
  const ms = Math.round(performance.now() - began);
  trial.say(
    `${node.name} ${what}: a member again after ${ms} ms and ${starts} starts; ${asides(node).length - before} set aside`,
  );
}
