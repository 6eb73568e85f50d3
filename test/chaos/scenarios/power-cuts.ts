// Power cuts: of one node, and of all at one moment. Each disk then has what was synced, and in half of the cuts any
// part of the rest. Nothing acknowledged is lost, no member votes twice in a term, and each is the device that it was.

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../../kit/eventually.ts";
import { PowerDisk } from "../../kit/power-disk.ts";
import { asides, killed } from "../folders.ts";
import { cutPower, identityOf, PoweredNodes, powerNeeds, tornSeed } from "../power.ts";
import type { Scenario } from "../scenario.ts";
import { SHORT_LOGS, THREE } from "../shapes.ts";

/** Every log of SHORT_LOGS is truncated within this time. */
const TRUNCATED_MS = 2500;
const CRASHES = 8;
/** What a joiner writes on its way in: its device, its server, its first store, its admission, its copy. */
const MOMENTS = ["tailnet/tailscaled.state", "raft/server", "store/CURRENT", "raft/fleet.json", "store/2"];
const JOIN_MS = 60_000;

export const powerCutOne: Scenario = {
  name: "power-cut-one",
  title: "the power of a follower, then of the leader is cut under load, three times each",
  fleet: THREE,
  needs: powerNeeds,
  seconds: 240,
  async run(trial) {
    const { fleet, random } = trial;
    const load = trial.load();
    await load.more(30);
    const voters = fleet.up(["central"]);
    await PoweredNodes.during(trial, voters, async (powered) => {
      for (const who of random.shuffled(["leader", "leader", "leader", "follower", "follower", "follower"])) {
        await load.more(random.between(10, 60));
        const leader = await fleet.leader();
        const node = who === "leader" ? leader : random.pick(voters.filter((each) => each !== leader));
        trial.say(`${node.name}, ${who === "leader" ? "the leader" : "a follower"}`);
        await powered.cut([node]);
      }
      await load.more(30);
      await fleet.caughtUp();
    });
    await load.more(30);
    await fleet.caughtUp();
  },
};

export const powerCutAll: Scenario = {
  name: "power-cut-all",
  title: "the power of all nodes is cut at one moment under load, twice",
  fleet: THREE,
  inGate: true,
  needs: powerNeeds,
  outageMs: 60_000,
  seconds: 150,
  async run(trial) {
    const { fleet, random } = trial;
    const load = trial.load({ patienceMs: 60_000 });
    await load.more(30);
    const nodes = fleet.up(["central", "edge"]);
    await PoweredNodes.during(trial, nodes, async (powered) => {
      for (let round = 1; round <= 2; round++) {
        await load.more(random.between(10, 60));
        await powered.cut(nodes);
        const tookMs = await load.more(1);
        trial.say(`the first write ${Math.round(tookMs)} ms after all serve`);
      }
      await load.more(30);
      await fleet.caughtUp();
    });
    await load.more(30);
    await fleet.caughtUp();
  },
};

export const powerCutCopies: Scenario = {
  name: "power-cut-copies",
  title: "power cuts of nodes that truncate their log continuously: of all at one moment, of one while it gets a copy",
  fleet: SHORT_LOGS,
  needs: powerNeeds,
  outageMs: 60_000,
  seconds: 300,
  async run(trial) {
    const { fleet, random } = trial;
    const load = trial.load({ patienceMs: 60_000, padding: 4000 });
    await load.more(60);
    const nodes = fleet.up();
    await PoweredNodes.during(trial, nodes, async (powered) => {
      for (const whose of random.shuffled(["all", "all", "one", "one", "one"])) {
        await load.more(60);
        await Bun.sleep(random.between(0, TRUNCATED_MS));
        if (whose === "all") {
          await powered.cut(nodes);
          continue;
        }
        const leader = await fleet.leader();
        const node = random.pick(nodes.filter((each) => each !== leader));
        await killed(node);
        await load.more(60);
        await Bun.sleep(TRUNCATED_MS);
        await node.restart();
        // From its first lines to the time when the copy is its store.
        await Bun.sleep(random.between(100, 3000));
        trial.say(`${node.name}, which was away`);
        await powered.cut([node]);
      }
      await load.more(30);
      await fleet.caughtUp();
    });
    await load.more(30);
    await fleet.caughtUp();
  },
};

export const powerCutJoining: Scenario = {
  name: "power-cut-joining",
  title: "the power of a joiner is cut at any moment of its way in, again and again, and once it is in",
  fleet: THREE,
  needs: powerNeeds,
  seconds: 240,
  async run(trial) {
    const { fleet, random } = trial;
    const load = trial.load({ padding: 4000 });
    await load.more(60);
    // Its first process only waits, so that all it ever writes is on the disk.
    const node = await fleet.joining("regional", { wrap: ["sh", "-c", "exec sleep 1000", "sh"] });
    // The empty store that it has before it is admitted goes to aside/ when another start is admitted.
    node.harmed = true;
    await killed(node);
    mkdirSync(node.dataDir, { mode: 0o700 });
    await using disk = await PowerDisk.under(node.dataDir);
    await node.restart();
    for (let crash = 0; crash < CRASHES; crash++) {
      const moment = random.pick(MOMENTS);
      await eventually(moment, () => existsSync(join(node.dataDir, moment)), { seen: () => node.process.stderr });
      await Bun.sleep(random.between(0, 1000));
      trial.say(`after ${moment}: ${await cutPower(node, disk, tornSeed(random))}`);
      await node.restart();
    }
    await fleet.joined(node);
    await fleet.caughtUp(JOIN_MS);
    trial.say(`${node.name} is a member after ${CRASHES} cuts`);
    const seen = () => JSON.stringify([identityOf(node), asides(node)]);
    const before = seen();
    trial.say(await cutPower(node, disk));
    await node.restart();
    await fleet.joined(node);
    await fleet.caughtUp(JOIN_MS);
    if (before !== seen()) throw new Error(`${node.name} was ${before} and is ${seen()}`);
    await load.more(30);
    await fleet.caughtUp();
    await killed(node);
    await disk.remove();
    await node.restart();
    await fleet.joined(node);
  },
};
