// A disk that is full, slow, or fails: under the leader and under a follower. Full: a small disk is filled to the last
// byte under load. Slow and failing: strace delays or fails the calls of fsync and fdatasync of that process (Go makes
// its calls itself, so a preloaded library would not see them).

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../../kit/eventually.ts";
import type { FleetNode } from "../../kit/fleet.ts";
import { nodeTarget } from "../fleet-clients.ts";
import { back, followerOf, killed, leads } from "../folders.ts";
import type { Load } from "../load.ts";
import type { Scenario, Trial } from "../scenario.ts";
import { SHORT_LOGS, VOTERS } from "../shapes.ts";
import { SmallDisk } from "../small-disk.ts";
import { killTraced } from "../steps.ts";

const SYNCS = "?fsync,?fdatasync";
const DISK_MB = 96;

export const diskFull: Scenario = {
  name: "disk-full",
  title: "the disk of a follower, then of the leader, is full to the last byte under load",
  fleet: VOTERS,
  seconds: 200,
  async run(trial) {
    const load = trial.load({ padding: 4000 });
    await load.more(30);
    await full(trial, load, await followerOf(trial.fleet), false);
    await full(trial, load, await followerOf(trial.fleet), true);
  },
};

export const diskNearlyFull: Scenario = {
  name: "disk-nearly-full",
  title: "95 % of the leader's disk are used: it hands over to a voter with room, and writes go on there",
  fleet: VOTERS,
  seconds: 120,
  async run(trial) {
    const load = trial.load({ patienceMs: 2000 });
    await load.more(30);
    const node = await followerOf(trial.fleet);
    await killed(node);
    const disk = SmallDisk.under(node, DISK_MB);
    try {
      await back(trial.fleet, node);
      await trial.fleet.voters(3);
      await leads(trial.fleet, node);
      disk.fill(Math.floor(disk.size * 0.03));
      const next = await trial.fleet.leader(node);
      const said = await conditions(node);
      if (!said.includes("disk_full")) throw new Error(`${node.name} handed over and says only: ${said}`);
      await load.more(30);
      const refused = load.rows.filter(({ code }) => code === "storage_full").length;
      trial.say(`${next.name} leads and takes writes; ${node.name} refused ${refused} before and says ${said}`);
      if ((await trial.fleet.leader()) === node) throw new Error(`${node.name} leads again without room`);
      disk.free();
      await load.more(30);
      await killed(node);
      disk.remove();
      await back(trial.fleet, node);
    } catch (error) {
      disk.drop();
      throw error;
    }
  },
};

export const syncFails: Scenario = {
  name: "fsync-fails",
  title: "fsync fails under the log and under the store, of a follower and of the leader",
  // Their stores are synced every two seconds.
  fleet: { ...SHORT_LOGS, regionals: 0 },
  seconds: 240,
  async run(trial) {
    const load = trial.load();
    await load.more(30);
    for (const isLeader of [false, true])
      for (const part of ["raft", "store"] as const) {
        const node = await followerOf(trial.fleet);
        const { dataDir } = node;
        node.harmed = true;
        const generation = Number(readFileSync(join(dataDir, "store", "CURRENT"), "utf8"));
        // It may get a copy of the store first, or even two.
        const wals = [0, 1, 2].map((more) => join("store", String(generation + more), "cairn.db-wal"));
        const segments = [1, 2, 3].map((more) => join("raft", "entries", `${more}`.padStart(20, "0").concat(".seg")));
        const files = part === "raft" ? [join("raft", "votes.db"), ...segments] : wals;
        // Counted for each thread of the process.
        const after = trial.random.between(4, 10) + (isLeader && part === "raft" ? 30 : 0);
        await killed(node);
        const paths = files.flatMap((file) => ["-P", join(dataDir, file)]);
        await node.restart({ wrap: traced(`inject=${SYNCS}:error=EIO:when=${after}+`, paths) });
        const who = `${node.name}, ${isLeader ? "to lead" : "a follower"}`;
        if (isLeader) await leads(trial.fleet, node).catch((error) => ended(node, error));
        trial.say(`${who}: from the ${after}th on each fsync of the ${part} fails`);
        await eventually(`the end of ${node.name}`, () => node.process.ended, {
          withinMs: 60_000,
          seen: () => trial.fleet.tails(),
        });
        trial.say(`ended with ${(await node.process.exited()).code}: ${lastLine(node)}`);
        await trial.fleet.leader(node);
        await load.more(20);
        await back(trial.fleet, node);
        await trial.fleet.voters(3);
      }
  },
};

export const syncSlow: Scenario = {
  name: "fsync-slow",
  title:
    "fsync begins to take 400 ms at the leader: another leads, its status says why, and writes go on beside a slow follower",
  fleet: { ...VOTERS, profile: "home" },
  // Clients wait 1.5 s for a response, and a write takes two syncs and more until the leader has 200 samples.
  outageMs: 60_000,
  seconds: 200,
  async run(trial) {
    const { fleet } = trial;
    const load = trial.load();
    await load.more(30);
    const node = await followerOf(trial.fleet);
    node.harmed = true;
    await killed(node);
    // Counted for each thread: the disk stays fast for some seconds.
    await node.restart({ wrap: traced(`inject=${SYNCS}:delay_enter=400000:when=60+`) });
    await node.serving();
    await leads(fleet, node);
    trial.say(`${node.name} leads`);
    const began = performance.now();
    await eventually("another leader", async () => ((await fleet.leaderNow()) ?? node) !== node, {
      withinMs: 90_000,
      seen: () => fleet.tails(),
    });
    trial.say(`another leads after ${Math.round(performance.now() - began)} ms`);
    await eventually(`${node.name} to say that its disk is slow`, async () =>
      (await conditions(node)).includes("slow_fsync"),
    );
    // Clients of other nodes need not wait for the slow one.
    const others = () => fleet.up().filter((each) => each !== node);
    const quick = trial.load({ targets: () => others().map((each) => nodeTarget(trial.device, each)) });
    const took = await quick.more(60);
    trial.say(`60 writes at the others in ${Math.round(took)} ms; ${node.name} says ${await conditions(node)}`);
    await killTraced(node);
    await back(fleet, node);
  },
};

async function full(trial: Trial, load: Load, node: FleetNode, isLeader: boolean): Promise<void> {
  const { fleet } = trial;
  await killed(node);
  const disk = SmallDisk.under(node, DISK_MB);
  try {
    await back(fleet, node);
    await fleet.voters(3);
    if (isLeader) await leads(trial.fleet, node);
    // Repeated, because deletions free space: until it cannot continue.
    await eventually(
      `the end of ${node.name}`,
      () => {
        disk.fill();
        return node.process.ended;
      },
      { withinMs: 60_000, seen: () => fleet.tails() },
    );
    trial.say(
      `${node.name}, ${isLeader ? "the leader" : "a follower"}, ended with ${(await node.process.exited()).code}: ${lastLine(node)}`,
    );
    await fleet.leader(node);
    await load.more(30);
    await node.restart();
    await Bun.sleep(4000);
    trial.say(
      `started on the full disk: ${node.process.ended ? `ended with ${(await node.process.exited()).code}: ${lastLine(node)}` : `runs: ${await conditions(node)}`}`,
    );
    if (!node.process.ended) await killed(node);
    else if ((await node.process.exited()).code !== 40) throw new Error("a start on a full disk did not say so");
    disk.free();
    await back(fleet, node);
    await fleet.voters(3);
    trial.say(`${node.name} has room again and is up`);
    await killed(node);
    disk.remove();
    await back(fleet, node);
    await fleet.voters(3);
  } catch (error) {
    disk.drop();
    throw error;
  }
}

/** It may end before it led. */
function ended(node: FleetNode, error: unknown): void {
  if (!node.process.ended) throw error;
}

function traced(inject: string, paths: readonly string[] = []): string[] {
  return [
    "strace",
    "-D",
    "-f",
    "--seccomp-bpf",
    "-qq",
    "-o",
    "/dev/null",
    ...paths,
    "-e",
    `trace=${SYNCS}`,
    "-e",
    inject,
    "-e",
    "signal=none",
    "--",
  ];
}

function lastLine(node: FleetNode): string {
  return node.process.stderr.trim().split("\n").slice(-2).join(" | ").slice(0, 500);
}

async function conditions(node: FleetNode): Promise<string> {
  return ((await node.status())?.conditions ?? []).map(({ code }) => code).join(", ");
}
