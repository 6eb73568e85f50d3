// Wrong wall clocks: the leader's jumps a day ahead while it leads, a voter starts a day ahead and gets the lead, a
// voter starts in 1970. Log time continues as before, the node reports it, another one leads, and nothing is lost.

import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { inspectStore } from "../../../src/store/inspect.ts";
import { eventually } from "../../kit/eventually.ts";
import type { FleetNode } from "../../kit/fleet.ts";
import { back, followerOf, killed } from "../folders.ts";
import type { Load } from "../load.ts";
import type { Scenario, Trial } from "../scenario.ts";
import { VOTERS } from "../shapes.ts";

const MAIN = join(dirname(dirname(dirname(import.meta.dir))), "test", "kit", "clock-main.ts");
const DAY_MS = 86_400_000;
/** More than a busy machine needs between the stamp and the check. */
const BOUND_MS = 60_000;

export const clocks: Scenario = {
  name: "clocks",
  title: "the leader's clock goes a day ahead; a voter begins a day ahead, and one in 1970, and is handed the lead",
  fleet: { ...VOTERS, command: () => Promise.resolve([process.execPath, MAIN]) },
  seconds: 200,
  async run(trial) {
    const { fleet } = trial;
    const load = trial.load();
    await load.more(40);
    const leader = await fleet.leader();
    setClock(leader, DAY_MS);
    trial.say(`the clock of ${leader.name}, the leader, is a day ahead`);
    await handsOver(trial, leader, load);
    setClock(leader, 0);
    await eventually("the clocks to agree", async () => !(await conditions(leader)).includes("clock_skew"));
    for (const [what, shift] of [
      ["a day ahead", DAY_MS],
      ["in 1970", -Date.now()],
    ] as const) {
      const node = await followerOf(fleet);
      await killed(node);
      setClock(node, shift);
      await back(fleet, node);
      await fleet.voters(3);
      const handed = await (await fleet.leader()).call("fleet_transfer", { node: node.id }, 10_000);
      trial.say(`${node.name} began ${what}; handing the lead to it: ${handed.status}`);
      await handsOver(trial, node, load);
      setClock(node, 0);
      await eventually("the clocks to agree", async () => !(await conditions(node)).includes("clock_skew"));
    }
  },
};

/** Waits until another node leads, and compares log time with our clock meanwhile. */
async function handsOver(trial: Trial, node: FleetNode, load: Load): Promise<void> {
  const { fleet } = trial;
  const began = performance.now();
  const writing = load.more(60, 60_000);
  await eventually(`another leader than ${node.name}`, async () => ((await fleet.leaderNow()) ?? node) !== node, {
    withinMs: 60_000,
    seen: () => fleet.tails(),
  });
  const ms = Math.round(performance.now() - began);
  await eventually(`${node.name} to say that its clock is wrong`, async () =>
    (await conditions(node)).includes("clock_skew"),
  );
  await writing;
  for (const each of fleet.up()) {
    const off = logTimeMs(each) - Date.now();
    if (Math.abs(off) > BOUND_MS) throw new Error(`the time of the log is ${off} ms ahead of ours at ${each.name}`);
  }
  trial.say(
    `another leads after ${ms} ms; ${node.name} says ${(await conditions(node)).join(", ")}; the log's time is right`,
  );
}

function setClock(node: FleetNode, aheadMs: number): void {
  writeFileSync(`${node.dataDir}.clock`, String(aheadMs));
}

async function conditions(node: FleetNode): Promise<string[]> {
  return ((await node.status())?.conditions ?? []).map(({ code }) => code);
}

function logTimeMs(node: FleetNode): number {
  const found = inspectStore(join(node.dataDir, "store"), (reader) =>
    reader.get<{ log_time: number }>("SELECT log_time FROM head"),
  );
  return Number(found?.seen?.log_time ?? Number.NaN);
}
