// SIGSTOP of the leader with 30 ms round trip, reads waiting at it, SIGCONT: whatever state it resumes with, its leader
// reads return nothing old.

import { nodeTarget } from "../fleet-clients.ts";
import type { Row } from "../history.ts";
import { rowOfRead } from "../load.ts";
import type { Scenario, Trial } from "../scenario.ts";
import { THREE } from "../shapes.ts";

const ONE_WAY_MS = 15;

export const leaderPaused: Scenario = {
  name: "leader-paused",
  title: "SIGSTOP and SIGCONT of the leader with leader reads at 30 ms round trip",
  fleet: THREE,
  inGate: true,
  seconds: 40,
  async run(trial) {
    const { fleet } = trial;
    const centrals = fleet.up(["central"]);
    for (const from of centrals)
      for (const to of centrals) if (from !== to) await fleet.link(from, to, { delayMs: ONE_WAY_MS });
    try {
      await trial.follow();
      const load = trial.load({ consistencies: ["leader", "leader", "session"] });
      await load.more(30);
      const old = await fleet.leader();
      old.pause();
      await fleet.leader(old);
      await load.more(20);
      // Sent while it is paused: these are the first requests that it handles when it resumes.
      const asked = Array.from({ length: 24 }, (_, at) => leaderRead(trial, old, at));
      await load.more(10);
      old.resume();
      const rows = await Promise.all(asked);
      const answered = rows.filter(({ outcome }) => outcome === "ok").length;
      trial.say(`${old.name} answered ${answered} of ${rows.length} leader reads that had waited for it`);
      trial.rows.push(...rows);
      await load.more(20);
    } finally {
      for (const node of fleet.nodes) if (!node.isUp && !node.process.ended) node.resume();
      await fleet.tailnet.link("*", "*");
    }
  },
};

async function leaderRead({ device, prefix }: Trial, node: Parameters<typeof nodeTarget>[1], at: number): Promise<Row> {
  const invokeMs = performance.now();
  const ask = { operation: "get", key: `${prefix}k${at % 8}`, consistency: "leader", shown: undefined } as const;
  const said = await nodeTarget(device, node).read(ask, AbortSignal.timeout(15_000));
  const times = { invokeMs, completeMs: performance.now() };
  return { ...rowOfRead(ask, said), ...times, process: `waiting-${at}`, node: node.name };
}
