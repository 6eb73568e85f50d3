// kill -9 at each step of a snapshot: at the member that gets a copy, at the leader that makes and sends it, and at a
// member that records one of its own and truncates its log. The killed node continues by itself at its next start, and
// all are equal.

import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { FleetNode } from "../../kit/fleet.ts";
import { back, followerOf, killed, leads } from "../folders.ts";
import type { Load } from "../load.ts";
import type { Scenario, Trial } from "../scenario.ts";
import { SHORT_LOGS } from "../shapes.ts";
import { growing, type Step, StepTrap } from "../steps.ts";

const RENAME = ["rename", "renameat", "renameat2"];
const SYNC = ["fsync", "fdatasync"];
const record = (data: string) => join(data, "raft", "snapshot.json.new");
const pending = (data: string) => join(data, "raft", "pending.json");

/** More entries than the short log keeps. */
const AWAY_WRITES = 80;

interface StepOf {
  what: string;
  step: (data: string) => Step;
}

const SWITCHED: StepOf = {
  what: "CURRENT switched, not recorded",
  step: (data) => ({ calls: RENAME, path: record(data) }),
};

/** At a member that gets a copy, in the order of the steps. */
const RECEIVING: readonly StepOf[] = [
  { what: "received, not pending", step: (data) => ({ calls: RENAME, path: `${pending(data)}.new` }) },
  {
    what: "pending, not installed",
    step: (data) => ({
      calls: ["open", "openat"],
      path: join(data, "store", String(generation(data) + 1), "cairn.db"),
    }),
  },
  {
    what: "installed, CURRENT not switched",
    step: (data) => ({ calls: RENAME, path: join(data, "store", "CURRENT.new") }),
  },
  SWITCHED,
  {
    what: "recorded, and still pending",
    step: (data) => ({ calls: ["unlink", "unlinkat"], path: pending(data) }),
  },
];

/** At the leader that makes a copy. */
const SENDING: readonly StepOf[] = [
  { what: "copied, not flushed", step: (data) => ({ calls: SYNC, path: join(data, "raft", "copy-1.db") }) },
];

export const crashReceiving: Scenario = {
  name: "crash-receiving",
  title: "kill -9 of a member at each step of receiving and installing a copy",
  fleet: SHORT_LOGS,
  seconds: 240,
  async run(trial) {
    const load = trial.load({ padding: 20_000 });
    await load.more(150);
    const node = regional(trial);
    await missing(trial, node, load);
    await node.restart();
    await growing(join(node.dataDir, "raft"), "received-", 1);
    await killed(node);
    await returns(trial, node, "coming in");
    for (const step of RECEIVING) await crashAt(trial, node, load, step);
  },
};

/** One step of it, for tests of the checker. */
export const crashSwitched: Scenario = {
  name: "crash-switched",
  title: "kill -9 of a member that has switched to a copy and not recorded it",
  fleet: SHORT_LOGS,
  seconds: 240,
  async run(trial) {
    const load = trial.load({ padding: 20_000 });
    await load.more(50);
    await crashAt(trial, regional(trial), load, SWITCHED);
    await load.more(10);
  },
};

function regional({ fleet }: Trial): FleetNode {
  const [node] = fleet.up(["regional"]);
  if (node === undefined) throw new Error("there is no regional");
  return node;
}

async function crashAt(trial: Trial, node: FleetNode, load: Load, { what, step }: StepOf): Promise<void> {
  await missing(trial, node, load);
  const trap = new StepTrap(step(node.dataDir));
  await node.restart({ wrap: trap.wrap });
  const line = await trap.kill(node);
  trial.say(line.slice(0, 160));
  await returns(trial, node, what);
}

export const crashSending: Scenario = {
  name: "crash-sending",
  title: "kill -9 of the leader while it makes and sends a copy",
  fleet: SHORT_LOGS,
  seconds: 240,
  async run(trial) {
    const { fleet } = trial;
    const load = trial.load({ padding: 20_000 });
    await load.more(150);
    const [late] = fleet.up(["regional"]);
    if (late === undefined) throw new Error("there is no regional");
    for (const { what, step } of SENDING) {
      const next = await followerOf(fleet);
      await killed(next);
      const trap = new StepTrap(step(next.dataDir));
      await next.restart({ wrap: trap.wrap });
      await next.serving();
      await fleet.voters(3);
      await leads(fleet, next);
      await missing(trial, late, load);
      await late.restart();
      trial.say((await trap.kill(next)).slice(0, 160));
      await fleet.leader(next);
      await load.more(20);
      await returns(trial, next, what);
      await returns(trial, late, `was to get the copy that was ${what}`, false);
    }
    await missing(trial, late, load);
    const leader = await fleet.leader();
    await late.restart();
    await growing(join(late.dataDir, "raft"), "received-", 1);
    await killed(leader);
    await load.more(20);
    await returns(trial, leader, "sending");
    await returns(trial, late, "was to get the copy that was being sent", false);
  },
};

export const crashRecording: Scenario = {
  name: "crash-recording",
  title: "kill -9 of leader and follower around the record of a snapshot and the shortening of the log",
  fleet: SHORT_LOGS,
  seconds: 240,
  async run(trial) {
    const { fleet } = trial;
    const load = trial.load();
    await load.more(60);
    const leader = await fleet.leader();
    const follower = fleet.up(["central"]).find((node) => node !== leader);
    if (follower === undefined) throw new Error("there is no follower");
    await killed(follower);
    const trap = new StepTrap({ calls: RENAME, path: record(follower.dataDir) });
    await follower.restart({ wrap: trap.wrap });
    trial.say((await trap.kill(follower)).slice(0, 160));
    await returns(trial, follower, "store marked, snapshot not recorded");
    for (let round = 0; round < 6; round++) {
      const leading = await fleet.leader();
      const node = round % 2 === 0 ? leading : trial.random.pick(fleet.up().filter((each) => each !== leading));
      const waitMs = trial.random.next() * 30;
      const recorded = await newRecord(node);
      await Bun.sleep(waitMs);
      await killed(node);
      await returns(trial, node, `${waitMs.toFixed(1)} ms after its snapshot at entry ${recorded} was recorded`);
      await load.more(10);
    }
  },
};

/** Keeps a node away until the log of the others no longer reaches back to its position. */
async function missing({ fleet }: Trial, node: FleetNode, load: Load): Promise<void> {
  await killed(node);
  const leader = await fleet.leader(node);
  await load.more(AWAY_WRITES);
  const before = snapshotOf(leader);
  await load.more(AWAY_WRITES);
  while (snapshotOf(leader) === before) await Bun.sleep(50);
}

async function newRecord(node: FleetNode, withinMs = 20_000): Promise<number> {
  const path = join(node.dataDir, "raft", "snapshot.json");
  const before = statSync(path).mtimeMs;
  const deadline = performance.now() + withinMs;
  while (statSync(path).mtimeMs === before) {
    if (performance.now() > deadline) throw new Error(`${node.name} recorded no snapshot within ${withinMs} ms`);
    await Bun.sleep(1);
  }
  return snapshotOf(node);
}

function snapshotOf(node: FleetNode): number {
  const text = readFileSync(join(node.dataDir, "raft", "snapshot.json"), "utf8");
  return Number((JSON.parse(text) as { index: number }).index);
}

function generation(data: string): number {
  return Number(readFileSync(join(data, "store", "CURRENT"), "utf8"));
}

async function returns(trial: Trial, node: FleetNode, what: string, isDead = true): Promise<void> {
  const began = performance.now();
  if (isDead) await back(trial.fleet, node);
  else await trial.fleet.caughtUp(60_000);
  await trial.fleet.voters(3);
  trial.say(`${node.name} ${what}: up again and equal after ${Math.round(performance.now() - began)} ms`);
}
