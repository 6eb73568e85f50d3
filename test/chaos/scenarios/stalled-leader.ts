// The event loop of a node hangs while its Go half goes on. Of a leader only the product's own reports can show it, and
// another voter leads soon. A follower costs nothing: writes and streams go on, and it catches up.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { nodeTarget } from "../fleet-clients.ts";
import { back, followerOf, killed, leads } from "../folders.ts";
import type { Scenario } from "../scenario.ts";
import { THREE } from "../shapes.ts";

const STALL_MS = 25_000;
/** Twice the heartbeat timeout of `lan`, an election, and what a busy machine adds. */
const SOON_MS = 12_000;
const STALL_MAIN = join(import.meta.dir, "..", "..", "kit", "stall-main.ts");

export const stalledLeader: Scenario = {
  name: "stalled-leader",
  title: "the event loop of an idle leader hangs for 25 s: another voter leads and takes writes",
  fleet: THREE,
  inGate: true,
  seconds: 120,
  async run(trial) {
    const { fleet } = trial;
    const node = await followerOf(fleet);
    const { command } = node.process;
    await killed(node);
    await back(fleet, node, { command: [process.execPath, STALL_MAIN] });
    await fleet.voters(3);
    await leads(fleet, node);
    const began = performance.now();
    writeFileSync(`${node.dataDir}.stall`, String(STALL_MS));
    const next = await fleet.leader(node, SOON_MS);
    trial.say(`${next.name} leads ${Math.round(performance.now() - began)} ms after the loop of ${node.name} stopped`);
    const others = () => fleet.up().filter((each) => each !== node);
    const load = trial.load({ targets: () => others().map((each) => nodeTarget(trial.device, each)) });
    await load.more(20);
    if (performance.now() - began > STALL_MS)
      throw new Error(`the loop of ${node.name} turned again before the writes`);
    await load.stop();
    await fleet.settle(STALL_MS + 30_000);
    trial.say(`${node.name} follows again`);
    await killed(node);
    await back(fleet, node, { command });
    await fleet.voters(3);
  },
};

export const stalledFollower: Scenario = {
  name: "stalled-follower",
  title: "the event loop of a follower hangs for 25 s under load: nothing waits for it, and it catches up",
  fleet: THREE,
  seconds: 150,
  async run(trial) {
    const { fleet } = trial;
    const leader = await fleet.leader();
    const node = fleet.up(["central"]).find((each) => each !== leader);
    if (node === undefined) throw new Error("there is no follower");
    const { command } = node.process;
    await killed(node);
    await back(fleet, node, { command: [process.execPath, STALL_MAIN] });
    await fleet.voters(3);
    await trial.follow();
    const load = trial.load();
    await load.more(30);
    const term = (await leader.status())?.fleet.term;
    const began = performance.now();
    writeFileSync(`${node.dataDir}.stall`, String(STALL_MS));
    await load.more(60);
    if (performance.now() - began > STALL_MS) throw new Error(`60 writes took longer than the stall of ${node.name}`);
    const now = await fleet.leader();
    const termNow = (await now.status())?.fleet.term;
    if (now !== leader || termNow !== term)
      throw new Error(`the leadership moved from ${leader.name} (term ${term}) to ${now.name} (term ${termNow})`);
    trial.say(`60 writes while the loop of ${node.name} stood still`);
    await load.stop();
    await fleet.settle(STALL_MS + 30_000);
    trial.say(`${node.name} has caught up`);
    await killed(node);
    await back(fleet, node, { command });
    await fleet.voters(3);
  },
};
