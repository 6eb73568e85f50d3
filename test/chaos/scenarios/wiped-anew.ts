// A voter's disk is wiped together with its tailnet identity: it returns under the same name as another device. It is
// not taken for the old one; an admin admits it, the old one is removed, and it votes in its place.

import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../../kit/eventually.ts";
import { killed } from "../folders.ts";
import type { Scenario } from "../scenario.ts";
import { VOTERS } from "../shapes.ts";

export const wipedAnew: Scenario = {
  name: "wiped-anew",
  title: "a voter is wiped, its tailnet identity too, and comes back under the same name",
  fleet: VOTERS,
  seconds: 150,
  async run(trial) {
    const { fleet } = trial;
    await trial.follow();
    const load = trial.load();
    await load.more(40);
    const leader = await fleet.leader();
    const node = fleet.up(["central"]).find((each) => each !== leader);
    if (node === undefined) throw new Error("there is no follower");
    const oldId = node.id;
    node.harmed = true;
    await killed(node);
    for (const name of readdirSync(node.dataDir)) rmSync(join(node.dataDir, name), { recursive: true });
    // The ticket with which it joined was used by the device that it was before.
    await node.restart();
    await load.more(20);
    const waits = async () => {
      const answer = await (await fleet.leader(node)).call("fleet_members", {});
      const { pending } = answer.body as { pending?: { node: string; name: string }[] };
      return pending?.find((each) => each.node !== oldId);
    };
    const found = await eventually(
      "it to wait for a person, or to be refused",
      async () => (await waits()) ?? (node.process.ended ? "refused" : undefined),
      {
        withinMs: 40_000,
        seen: () => fleet.tails(),
      },
    );
    if (found === "refused") {
      const { code, err } = await node.process.exited();
      trial.say(`${node.name} ended with ${code}: ${err.trim().split("\n").slice(-2).join(" | ").slice(0, 400)}`);
      if (code === 0) throw new Error("a device that was refused ended as if nothing were wrong");
      await node.restart({ env: { ...node.options.env, CAIRN_JOIN_TICKET: await fleet.ticket("central") } });
    } else {
      trial.say(`${node.name} waits as ${found.name} (${found.node})`);
      const approved = await (await fleet.leader(node)).call("fleet_member_approve", {
        node: found.node,
        role: "central",
      });
      if (approved.status !== 200) throw new Error(`approving it: ${approved.text}`);
    }
    await node.serving();
    await eventually("it to be a member", async () => (await node.status())?.members.some(({ self }) => self), {
      withinMs: 40_000,
      seen: () => fleet.tails(),
    });
    trial.say(`${node.name} is a member as another device`);
    const removed = await (await fleet.leader()).call("fleet_member_remove", { node: oldId }, 10_000);
    if (removed.status !== 200) throw new Error(`removing what it was: ${removed.text}`);
    await fleet.voters(3);
    const reports = await Promise.all(fleet.up().map((each) => each.status()));
    if (reports.some((report) => report?.members.some((member) => member.node === oldId || !member.votes)))
      throw new Error(`the old device is a member: ${JSON.stringify(reports.map((report) => report?.members))}`);
    await load.more(20);
  },
};
