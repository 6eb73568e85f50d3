// Membership changes under load with a dead member: a voter is killed, a new central joins, the dead one is removed and
// the new one votes in its place; the removed one, when it returns, takes part in nothing.

import { eventually } from "../../kit/eventually.ts";
import { nodeTarget } from "../fleet-clients.ts";
import type { Scenario } from "../scenario.ts";
import { THREE } from "../shapes.ts";

export const memberReplaced: Scenario = {
  name: "member-replaced",
  title: "a dead voter is replaced under load",
  fleet: THREE,
  inGate: true,
  seconds: 60,
  async run(trial) {
    const { fleet } = trial;
    const load = trial.load();
    await load.more(30);
    const leader = await fleet.leader();
    const dead = fleet.up(["central"]).find((node) => node !== leader);
    if (dead === undefined) throw new Error("there is no follower to kill");
    dead.kill();
    await dead.process.exited();
    await load.more(20);
    trial.say(`${dead.name} killed`);
    const fresh = await fleet.join("central");
    await load.more(20);
    trial.say(`${fresh.name} joined`);
    const removed = await (await fleet.leader()).call("fleet_member_remove", { node: dead.id }, 10_000);
    if (removed.status !== 200) throw new Error(`removing ${dead.name}: ${removed.text}`);
    await fleet.voters([...fleet.up(["central"])]);
    await load.more(20);
    trial.say(`${fresh.name} votes in place of ${dead.name}`);
    fleet.forget(dead);
    await dead.restart();
    // It must not lead, disturb or take writes: the others stay in their term.
    const term = (await (await fleet.leader()).status())?.fleet.term;
    await eventually("the removed to say something", () => dead.process.ended || dead.process.stdout !== "", {
      withinMs: 10_000,
    });
    await load.more(40);
    const part = { operation: "put" as const, key: `${trial.prefix}k0`, text: '"from the removed"' };
    const ask = { parts: [part], idempotencyKey: "removed" };
    const said = await nodeTarget(trial.device, dead).write(ask, AbortSignal.timeout(1500));
    if (said.outcome === "ok") throw new Error(`the removed ${dead.name} took a write: ${JSON.stringify(said)}`);
    const report = await (await fleet.leader()).status();
    if (report?.fleet.term !== term)
      throw new Error(`the removed ${dead.name} moved the term from ${term} to ${report?.fleet.term}`);
    const members = report?.members.map(({ name }) => name) ?? [];
    if (members.includes(dead.name)) throw new Error(`the removed ${dead.name} is a member: ${members}`);
    trial.say(`${dead.name} came back in vain: it said ${said.code} to a write`);
    dead.kill();
  },
};
