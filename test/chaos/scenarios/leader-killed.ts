// kill -9 of the leader under load, twice: writes continue at another node within the profile's bound, nothing
// acknowledged is lost, nothing is done twice.

import { eventually } from "../../kit/eventually.ts";
import type { Scenario } from "../scenario.ts";
import { THREE } from "../shapes.ts";

/**
 * From the kill to the first write that began after it and was acknowledged, in ms: profile `lan`, with room for a busy
 * machine.
 */
const FAILOVER_MS = 6_000;

export const leaderKilled: Scenario = {
  name: "leader-killed",
  title: "kill -9 of the leader under load, twice",
  fleet: THREE,
  inGate: true,
  seconds: 40,
  async run(trial) {
    const { fleet } = trial;
    await trial.follow();
    const load = trial.load();
    await load.more(60);
    for (let round = 1; round <= 2; round++) {
      const old = await fleet.leader();
      const killedMs = performance.now();
      old.kill();
      const first = await eventually(
        "a write after the kill",
        () =>
          load.rows.find(
            ({ operation, outcome, invokeMs }) => operation === "put" && outcome === "ok" && invokeMs > killedMs,
          ),
        { withinMs: 30_000, seen: () => fleet.tails() },
      );
      const tookMs = Math.round(first.completeMs - killedMs);
      trial.say(`${old.name} killed; the first write after it was acknowledged ${tookMs} ms later`);
      if (tookMs > FAILOVER_MS) throw new Error(`writes went on after ${tookMs} ms, not within ${FAILOVER_MS}`);
      await load.more(30);
      await old.restart();
      await old.serving();
      await fleet.voters(3);
    }
    await load.more(30);
  },
};
