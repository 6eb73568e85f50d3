// Acts of an admin while clients go on: a regional is promoted and votes, and a fleet that lost its majority is
// recovered on one member, which begins another history. Clients keep their positions, ETags and streams.

import { eventually } from "../../kit/eventually.ts";
import type { FleetNode } from "../../kit/fleet.ts";
import { nodeTarget } from "../fleet-clients.ts";
import { asides, back, killed, leads } from "../folders.ts";
import { isWrite } from "../history.ts";
import type { Scenario, Trial } from "../scenario.ts";
import { THREE_AND_ONE, VOTERS } from "../shapes.ts";

export const promoted: Scenario = {
  name: "promoted",
  title: "a regional is promoted under load, votes in place of a dead voter, and is needed for the majority",
  fleet: THREE_AND_ONE,
  seconds: 150,
  async run(trial) {
    const { fleet } = trial;
    await trial.follow();
    const load = trial.load();
    await load.more(30);
    const leader = await fleet.leader();
    const [regional] = fleet.up(["regional"]);
    const dead = fleet.up(["central"]).find((node) => node !== leader);
    if (regional === undefined || dead === undefined) throw new Error("there is no regional, or no follower");
    await command(trial, leader, "fleet_member_promote", { node: regional.id });
    await load.more(20);
    await killed(dead);
    await load.more(10);
    await command(trial, await fleet.leader(), "fleet_member_remove", { node: dead.id });
    fleet.forget(dead);
    const voters = fleet.up();
    await fleet.voters(voters);
    trial.say(`${regional.name} votes in place of ${dead.name}`);
    // Of three voters one is down: without the promoted one there is no majority.
    const other = fleet.up(["central"]).find((node) => node !== regional);
    if (other === undefined) throw new Error("there is no central");
    await killed(other);
    await load.more(30);
    await back(fleet, other);
    await load.more(20);
  },
};

export const recovered: Scenario = {
  name: "recovered",
  title: "two of three voters are gone for good: one recovers alone, and clients go on with what they know",
  fleet: VOTERS,
  outageMs: 90_000,
  seconds: 200,
  async run(trial) {
    const { fleet } = trial;
    // What only the others had acknowledged is given up, as the words of the command say.
    trial.mayLose = true;
    const load = trial.load({ patienceMs: 90_000 });
    await load.more(60);
    // The one that began the fleet: the others would join one at their next start.
    const [node, ...others] = fleet.nodes;
    const [next] = others;
    if (node === undefined || next === undefined) throw new Error("there are no three voters");
    await leads(fleet, next);
    const before = (await node.status())?.position ?? "";
    // The follower lacks what the others acknowledge now.
    node.pause();
    await load.more(30);
    const lost = load.rows.findLast((row) => isWrite(row) && row.position !== undefined)?.position;
    for (const other of others) {
      await killed(other);
      fleet.forget(other);
    }
    node.resume();
    await killed(node);
    // The log of the lost fleet is set aside by it.
    node.harmed = true;
    const setAside = asides(node).length;
    const { code, out, err } = await node.process.cli(["recover", "--accept-loss"]);
    trial.say(`cairn recover --accept-loss: ${code} ${out.trim()}`);
    if (code !== 0) throw new Error(`cairn recover ended with ${code}: ${err}`);
    await node.restart();
    await node.serving();
    await load.more(30, 60_000);
    const position = (await node.status())?.position ?? "";
    const [epoch, newEpoch] = [before, position].map((text) => text.split("-")[0]);
    if (epoch === newEpoch) throw new Error(`the recovered fleet goes on in the history ${epoch} of the lost one`);
    const moved = asides(node).length - setAside;
    if (moved !== 1) throw new Error(`a recovery set data aside ${moved} times, not only the log of the lost fleet`);
    // What belonged to the lost fleet is offered to this one, and gets a copy as any other.
    await fleet.join("central");
    await load.more(30);
    const ask = { operation: "get", key: `${trial.prefix}k0`, consistency: "session", shown: lost } as const;
    const said = await nodeTarget(trial.device, node).read(ask, AbortSignal.timeout(10_000));
    if (said.outcome !== "fail" || said.code !== "history_forked")
      throw new Error(`a client with a position of the lost history was told ${JSON.stringify(said)}`);
  },
};

async function command(trial: Trial, node: FleetNode, operation: string, input: object): Promise<void> {
  let said = "";
  await eventually(
    operation,
    async () => {
      const { status, text } = await node.call(operation, input, 10_000);
      said = `${status} ${text}`;
      return status === 200;
    },
    { withinMs: 30_000, seen: () => said },
  );
  trial.say(`${operation}: ${said.slice(0, 120)}`);
}
