// A copy of the store that a member cannot install, one that breaks in the middle, and restarts between them: the
// member goes on with what it had, and the next whole copy becomes its store.

import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../../kit/eventually.ts";
import { watchCopies } from "../../kit/watch-copies.ts";
import { killed } from "../folders.ts";
import type { Scenario } from "../scenario.ts";
import { THREE } from "../shapes.ts";

const ONE_WAY_MS = 100;
/** A copy of some megabytes: it takes seconds over the slow link, and no minute. */
const PADDING = 3_000;

export const failedCopy: Scenario = {
  name: "failed-copy",
  title: "a copy that cannot be installed, one that breaks in the middle, and restarts between them",
  fleet: THREE,
  inGate: true,
  seconds: 90,
  async run(trial) {
    const { fleet } = trial;
    const load = trial.load({ padding: PADDING });
    await load.more(100);
    const node = await fleet.joining("regional");
    const [store, raft] = [join(node.dataDir, "store"), join(node.dataDir, "raft")];
    const current = join(store, "CURRENT");
    await eventually(`the first store of ${node.name}`, () => existsSync(current), { stepMs: 1 });
    // As on a disk that is full at that moment: CURRENT cannot be switched.
    mkdirSync(join(`${current}.new`, "full"), { recursive: true });
    if (readFileSync(current, "utf8").trim() !== "1") throw new Error("it had its copy before it could fail");
    await eventually("its raft folder", () => existsSync(raft), { stepMs: 1 });
    using first = watchCopies(raft);
    await first.more(2);
    if (node.process.ended) throw new Error(`${node.name} ended over a copy that it could not install`);
    trial.say(`${node.name} could not install 2 copies and goes on`);
    await killed(node);
    await node.restart();
    await first.more(1);
    // Each copy would be larger than the one before, and the slow link has to carry two of them.
    await load.stop();
    const leader = await fleet.leader();
    await fleet.link(leader, node, { delayMs: ONE_WAY_MS });
    await first.more(1);
    await killed(node);
    trial.say("one more broke in the middle");
    await fleet.tailnet.link("*", "*");
    rmSync(`${current}.new`, { recursive: true });
    await node.restart();
    await fleet.joined(node);
    const later = trial.load();
    await later.more(20);
    await later.stop();
    trial.say(`all are at ${await fleet.settle()}, ${node.name} too`);
  },
};
