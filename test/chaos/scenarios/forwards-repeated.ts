// Responses of the leader to a member are lost, and the leadership moves: the member sends what it forwarded to the
// next leader again, with the key that it made. Writes without a key of their own are done once.

import { nodeTarget } from "../fleet-clients.ts";
import { leads } from "../folders.ts";
import type { Scenario } from "../scenario.ts";
import { THREE } from "../shapes.ts";

const ROUNDS = 3;
/** How long responses are lost before the leadership moves: less than the election timeout of `lan`. */
const LOST_MS = 250;
/** Longer than a forwarded write takes until the next leader has decided it. */
const ATTEMPT_MS = 8_000;

export const forwardsRepeated: Scenario = {
  name: "forwards-repeated",
  title: "responses to forwarded writes without key are lost, and the next leader is asked again",
  fleet: THREE,
  seconds: 120,
  async run(trial) {
    const { fleet, random } = trial;
    for (let round = 1; round <= ROUNDS; round++) {
      const old = await fleet.leader();
      const [asked, next] = fleet.up(["central"]).filter((node) => node !== old);
      if (asked === undefined || next === undefined) throw new Error("there are no two followers");
      const targets = () => [nodeTarget(trial.device, asked)];
      const load = trial.load({ targets, unkeyed: 1, writes: 0.9, clients: 8, pauseMs: 30, attemptMs: ATTEMPT_MS });
      await load.more(30);
      await fleet.link(old, asked, { cut: true });
      await Bun.sleep(random.between(LOST_MS / 2, LOST_MS));
      const began = performance.now();
      await leads(fleet, next);
      await load.more(20);
      trial.say(`${next.name} leads, and ${asked.name} goes on after ${Math.round(performance.now() - began)} ms`);
      await fleet.link(old, asked);
      await load.stop();
      await fleet.caughtUp();
    }
  },
};
