// The event loop of a leader hangs while nobody writes: its Go half still sends heartbeats, so only the product's own
// reports can show it. Another voter leads soon, and takes writes.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { nodeTarget } from "../fleet-clients.ts";
import { back, killed, leads } from "../folders.ts";
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
    const old = await fleet.leader();
    const node = fleet.up(["central"]).find((each) => each !== old);
    if (node === undefined) throw new Error("there is no follower");
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
