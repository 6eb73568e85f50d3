// Members that were started with different limits of the history, and a leadership that moves between them: the limit
// of the fleet holds on every member, whoever leads, and a write changes it for all.

import type { FleetNode } from "../../kit/fleet.ts";
import { leads } from "../folders.ts";
import type { Scenario, Trial } from "../scenario.ts";
import { UNLIMITED } from "../shapes.ts";

/** `history.max_versions` of each member; the first one begins the fleet. */
const GIVEN: Readonly<Record<string, string>> = { "central-1": "6", "central-2": "2", "central-3": "40" };
const SET = 3;

export const settingsDiffer: Scenario = {
  name: "settings-differ",
  title: "members with different settings of their own lead in turn: each history is cut by the limit of the fleet",
  fleet: {
    centrals: 3,
    profile: "lan",
    args: UNLIMITED,
    argsOf: (name) => ["--history-max-versions", GIVEN[name] ?? "1", "--history-keep-hours", "0"],
  },
  seconds: 120,
  async run(trial) {
    const { fleet } = trial;
    await trial.follow();
    const load = trial.load({ keys: 3, writes: 0.8 });
    for (const node of fleet.up(["central"])) {
      await leads(fleet, node);
      await load.more(40);
      trial.say(`${node.name} leads, which was given ${GIVEN[node.name]}`);
    }
    await expectKept(trial, Number(GIVEN["central-1"]));
    const leader = await fleet.leader();
    const set = await leader.call("fleet_settings_set", { name: "history.max_versions", value: String(SET) }, 10_000);
    if (set.status !== 200) throw new Error(`fleet_settings_set: ${set.text}`);
    for (const node of fleet.up(["central"])) {
      await leads(fleet, node);
      await load.more(25);
    }
    await load.stop();
    await expectKept(trial, SET);
  },
};

/** Each context of the load has as many versions as the limit says, on each member; all have more than that. */
async function expectKept(trial: Trial, limit: number): Promise<void> {
  for (let key = 0; key < 3; key++)
    for (const node of trial.fleet.up()) {
      const kept = await versionsAt(node, `${trial.prefix}k${key}`);
      if (kept !== limit) throw new Error(`${node.name} keeps ${kept} versions of k${key}, not ${limit}`);
    }
  trial.say(`every member keeps ${limit} versions`);
}

async function versionsAt(node: FleetNode, id: string): Promise<unknown> {
  const { body } = await node.call("context_metadata", { id, consistency: "any" }, 10_000);
  return body["versions"];
}
