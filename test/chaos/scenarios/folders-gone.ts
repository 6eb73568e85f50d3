// Either folder of a member is lost or replaced by an older copy, or two members' folders are exchanged: the node
// detects it, sets its data aside where they cannot be used, and is a member again; the fleet loses nothing
// acknowledged.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../../kit/eventually.ts";
import type { FleetNode } from "../../kit/fleet.ts";
import { asides, back, copied, exchange, killed, lose, type Part, serverOf } from "../folders.ts";
import type { Scenario, Trial } from "../scenario.ts";
import { ALONE, SHORT_LOGS, THREE_AND_ONE, VOTERS } from "../shapes.ts";

const PARTS = [["store"], ["raft"], ["store", "raft"]] as const satisfies readonly (readonly Part[])[];

export const voterFolders: Scenario = {
  name: "voter-folders",
  title: "a voter loses its store, its raft folder, and both; then older copies of them are put back",
  fleet: THREE_AND_ONE,
  seconds: 240,
  run: (trial) => harmed(trial, "voter"),
};

export const regionalFolders: Scenario = {
  name: "regional-folders",
  title: "a regional loses its store, its raft folder, and both; then older copies of them are put back",
  fleet: THREE_AND_ONE,
  seconds: 240,
  run: (trial) => harmed(trial, "regional"),
};

async function harmed(trial: Trial, who: "voter" | "regional"): Promise<void> {
  const load = trial.load();
  await load.more(30);
  const node = await victim(trial, who);
  for (const parts of PARTS) {
    await killed(node);
    lose(node, ...parts);
    // With neither folder a node cannot know that it was in a fleet: the first one was started without any setting that
    // names one.
    const args = [...(node.options.args ?? [])];
    const changes = parts.length === 2 && !args.includes("--join") ? { args: [...args, "--join", "auto"] } : {};
    await returns(trial, node, `lost ${parts.join(" and ")}`, changes);
    await load.more(10);
  }
  for (const parts of PARTS) {
    await killed(node);
    const putBack = copied(node, ...parts);
    await back(trial.fleet, node);
    await load.more(20);
    await killed(node);
    putBack();
    await returns(trial, node, `rolled back ${parts.join(" and ")}`);
    await load.more(10);
  }
}

export const foldersExchanged: Scenario = {
  name: "folders-exchanged",
  title: "a voter and a regional have each other's store, then each other's raft folder",
  fleet: THREE_AND_ONE,
  seconds: 200,
  async run(trial) {
    const load = trial.load();
    await load.more(30);
    for (const part of ["store", "raft"] as const satisfies readonly Part[]) {
      const [one, other] = [await victim(trial, "voter"), await victim(trial, "regional")];
      await Promise.all([killed(one), killed(other)]);
      exchange(one, other, part);
      await returns(trial, one, `has the ${part} of ${other.name}`);
      await returns(trial, other, `has the ${part} of ${one.name}`);
      await load.more(10);
    }
  },
};

export const storesGone: Scenario = {
  name: "stores-gone",
  title: "two of three voters lose their stores at one moment, then get back stores that are older than their records",
  fleet: SHORT_LOGS,
  outageMs: 60_000,
  seconds: 240,
  async run(trial) {
    const { fleet } = trial;
    const load = trial.load({ patienceMs: 60_000 });
    await load.more(60);
    const leader = await fleet.leader();
    const two = fleet.up(["central"]).filter((node) => node !== leader);
    const servers = two.map(serverOf);
    for (const node of two) await killed(node);
    for (const node of two) lose(node, "store");
    await storesReturn(trial, two, "lost its store");
    await load.more(20);
    for (const node of two) await killed(node);
    const older = two.map((node) => copied(node, "store"));
    for (const node of two) await back(fleet, node);
    const records = two.map(recordOf);
    await eventually("newer records", async () => {
      await load.more(20);
      return two.every((node, at) => recordOf(node) > (records[at] ?? 0) + 40);
    });
    for (const node of two) await killed(node);
    for (const putBack of older) putBack();
    const asidesBefore = two.map((node) => asides(node).length);
    await storesReturn(trial, two, "has an older store");
    for (const [at, node] of two.entries())
      if (asides(node).length !== (asidesBefore[at] ?? 0) + 1) throw new Error(`${node.name} used its older store`);
    await load.more(20);
    if (two.map(serverOf).join() !== servers.join()) throw new Error("a lost store cost a server id");
  },
};

/** Starts both before either is back: neither has a store, and the third has no majority alone. */
async function storesReturn(trial: Trial, nodes: readonly FleetNode[], what: string): Promise<void> {
  const began = performance.now();
  const starts = await Promise.all(nodes.map((node) => back(trial.fleet, node)));
  await trial.fleet.voters(3);
  trial.say(`each ${what}: members again after ${Math.round(performance.now() - began)} ms and ${starts} starts`);
}

/** The last entry that the snapshot record of a node covers. */
function recordOf(node: FleetNode): number {
  return JSON.parse(readFileSync(join(node.dataDir, "raft", "snapshot.json"), "utf8")).index;
}

async function victim({ fleet }: Trial, who: "voter" | "regional"): Promise<FleetNode> {
  const leader = await fleet.leader();
  const role = who === "voter" ? "central" : "regional";
  const found = fleet.up([role]).find((node) => node !== leader);
  if (found === undefined) throw new Error(`there is no ${who} beside the leader`);
  return found;
}

async function returns(
  trial: Trial,
  node: FleetNode,
  what: string,
  changes?: Parameters<typeof back>[2],
): Promise<void> {
  const before = asides(node).length;
  const began = performance.now();
  const starts = await back(trial.fleet, node, changes);
  await trial.fleet.voters(3);
  const ms = Math.round(performance.now() - began);
  trial.say(
    `${node.name} ${what}: a member again after ${ms} ms and ${starts} starts; ${asides(node).length - before} set aside`,
  );
}

export const logsBehind: Scenario = {
  name: "logs-behind",
  title: "the logs of all voters are older than their stores: none begins a fleet, and one recovers with everything",
  fleet: VOTERS,
  outageMs: 120_000,
  seconds: 240,
  async run(trial) {
    const { fleet } = trial;
    const load = trial.load({ patienceMs: 120_000 });
    await load.more(40);
    const voters = fleet.up(["central"]);
    await Promise.all(voters.map(killed));
    const older = voters.map((node) => copied(node, "raft"));
    await Promise.all(voters.map((node) => node.restart()));
    await Promise.all(voters.map((node) => node.serving()));
    await load.more(40);
    // As after disks that acknowledge what they have not written, and one loss of power.
    await Promise.all(voters.map(killed));
    for (const putBack of older) putBack();
    await Promise.all(voters.map((node) => node.restart()));
    const kept = await Promise.all(voters.map(keptBy));
    const [first] = voters.toSorted((one, other) => keptSeq(kept, voters, other) - keptSeq(kept, voters, one));
    if (first === undefined) throw new Error("there are no voters");
    await Promise.all(voters.map(killed));
    const { code, out, err } = await first.process.cli(["recover", "--accept-loss"]);
    trial.say(`${first.name}, which kept most: cairn recover --accept-loss: ${code} ${out.trim()}`);
    if (code !== 0) throw new Error(`cairn recover ended with ${code}: ${err}`);
    await first.restart();
    await first.serving();
    for (const node of voters.filter((one) => one !== first)) {
      const env = { ...node.options.env, CAIRN_JOIN_TICKET: await fleet.ticket("central") };
      await back(fleet, node, { env });
    }
    await fleet.voters(3);
    await load.more(20);
  },
};

/** Waits until a node says that it waits for its fleet, and returns up to which seq it kept data. */
async function keptBy(node: FleetNode): Promise<number> {
  let said = "";
  return eventually(
    `${node.name} to say what it kept`,
    async () => {
      if (node.process.ended) await node.restart();
      const report = await node.status();
      if (report !== undefined && report.fleet.id !== "")
        throw new Error(`${node.name} is in the fleet ${report.fleet.id}`);
      said =
        report?.conditions.find(({ code }) => code === "waiting_with_data")?.text ?? JSON.stringify(report?.conditions);
      const seq = /, up to [0-9a-f]{10}-(\d+), is kept in /.exec(said)?.[1];
      return seq === undefined ? undefined : Number(seq);
    },
    { withinMs: 60_000, seen: () => said },
  );
}

function keptSeq(kept: readonly number[], nodes: readonly FleetNode[], node: FleetNode): number {
  return kept[nodes.indexOf(node)] ?? 0;
}

export const aloneFolders: Scenario = {
  name: "alone-folders",
  title:
    "a fleet of one loses a folder, or gets an older one back: it refuses to start and says what to do, or goes on with everything",
  fleet: ALONE,
  outageMs: 60_000,
  seconds: 120,
  async run(trial) {
    const [node] = trial.fleet.nodes;
    if (node === undefined) throw new Error("there is no node");
    const load = trial.load();
    await load.more(40);
    for (const [what, harm] of [
      ["lost store", () => lose(node, "store")],
      ["lost raft", () => lose(node, "raft")],
    ] as const) {
      await killed(node);
      const putBack = copied(node, "store", "raft");
      harm();
      await refuses(trial, node, what);
      putBack();
      await returnsAlone(trial, node, `${what}, and got it back`);
      await load.more(10);
    }
    await killed(node);
    const older = { store: copied(node, "store"), raft: copied(node, "raft") };
    await node.restart();
    await node.serving();
    await load.more(20);
    await killed(node);
    const newest = copied(node, "store", "raft");
    older.raft();
    await refuses(trial, node, "rolled back raft");
    newest();
    await returnsAlone(trial, node, "rolled back raft, and got the newest back");
    await load.more(10);
    await killed(node);
    older.store();
    await returnsAlone(trial, node, "rolled back store");
    await load.more(10);
    // The way out of a lost raft folder, as the error describes it.
    await killed(node);
    lose(node, "raft");
    await refuses(trial, node, "lost raft");
    const { code, out, err } = await node.process.cli(["recover", "--accept-loss"]);
    trial.say(`cairn recover --accept-loss: ${code} ${out.trim()} ${err.trim()}`);
    if (code !== 0) throw new Error(`cairn recover ended with ${code}: ${err}`);
    await node.restart();
    await node.serving();
    await load.more(20);
  },
};

async function refuses(trial: Trial, node: FleetNode, what: string): Promise<void> {
  await node.restart();
  const { code, err } = await node.process.exited();
  const said = err.trim().split("\n").slice(-3).join(" | ");
  trial.say(`${what}: ended with ${code}: ${said}`);
  if (code === 0 || code === null) throw new Error(`a node that ${what} did not refuse to start`);
  if (asides(node).length > 0) throw new Error("a fleet of one set its data aside, with nobody to give them back");
}

async function returnsAlone(trial: Trial, node: FleetNode, what: string): Promise<void> {
  await node.restart();
  await node.serving();
  trial.say(`${what}: serves at ${(await node.status())?.position}`);
}
