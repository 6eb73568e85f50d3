// A leader that was cut off returns with entries that were never committed, after the others truncated their logs: it
// gets a copy that replaces its suffix without a trace.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { nodeTarget } from "../fleet-clients.ts";
import type { Scenario } from "../scenario.ts";
import { SHORT_LOGS } from "../shapes.ts";

/** More entries than the short log keeps. */
const WRITES = 120;

export const oldLeader: Scenario = {
  name: "old-leader",
  title: "a leader cut off with entries of its own comes back after the logs were shortened, three times",
  fleet: { ...SHORT_LOGS, regionals: 0, relayed: true },
  seconds: 200,
  async run(trial) {
    const { fleet, device } = trial;
    await trial.follow();
    const load = trial.load();
    await load.more(40);
    for (let round = 0; round < 3; round++) {
      const old = await fleet.leader();
      const others = fleet.up().filter((node) => node !== old);
      const before = generation(old.dataDir);
      const cut = async (isCut: boolean) => {
        for (const other of others)
          for (const [from, to] of [
            [old, other],
            [other, old],
          ] as const)
            await fleet.link(from, to, { cut: isCut });
      };
      await cut(true);
      // Sent only to it while it still takes itself for the leader: appended there, never acknowledged.
      const alone = trial.load({ targets: () => [nodeTarget(device, old)], clients: 12, writes: 1 });
      const next = await fleet.leader(old);
      await load.more(WRITES, 60_000);
      const until = recordOf(next.dataDir);
      while (recordOf(next.dataDir) === until) await Bun.sleep(50);
      await alone.stop();
      await cut(false);
      await fleet.caughtUp(40_000);
      await fleet.voters(3);
      const copies = generation(old.dataDir) - before;
      trial.say(`${old.name} is back behind ${next.name}: ${copies} copies installed`);
      if (copies < 1) throw new Error(`${old.name} caught up from the log: nothing was shortened`);
      await load.more(20);
    }
  },
};

function generation(data: string): number {
  return Number(readFileSync(join(data, "store", "CURRENT"), "utf8"));
}

function recordOf(data: string): number {
  return Number((JSON.parse(readFileSync(join(data, "raft", "snapshot.json"), "utf8")) as { index: number }).index);
}
