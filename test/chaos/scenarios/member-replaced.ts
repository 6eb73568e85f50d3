// Membership changes under load with a dead member: a voter is killed, a new central joins, the dead one is removed and the new one votes in its place; the removed one, when it
// comes back, has no part in anything.

import { eventually } from "../../kit/eventually.ts";
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
    const fresh = await fleet.join("central");
    await load.more(20);
    const removed = await (await fleet.leader()).call("fleet_member_remove", { node: dead.id }, 10_000);
    if (removed.status !== 200) throw new Error(`removing ${dead.name}: ${removed.text}`);
    await fleet.voters(3);
    await load.more(20);
    const report = await (await fleet.leader()).status();
    const voting = report?.members.filter(({ votes }) => votes).map(({ name }) => name);
    if (voting?.includes(fresh.name) !== true || voting.includes(dead.name)) throw new Error(`voters are ${voting}`);
    trial.say(`${fresh.name} votes in place of ${dead.name}`);
    await dead.restart();
    // It must neither lead nor disturb: the others go on in their term.
    const term = (await (await fleet.leader()).status())?.fleet.term;
    await load.more(40);
    const after = (await (await fleet.leader()).status())?.fleet.term;
    if (after !== term) throw new Error(`the removed ${dead.name} moved the term from ${term} to ${after}`);
    const members = (await (await fleet.leader()).status())?.members.map(({ name }) => name) ?? [];
    if (members.includes(dead.name)) throw new Error(`the removed ${dead.name} is a member: ${members}`);
    dead.kill();
    await eventually(`the end of ${dead.name}`, () => dead.process.ended);
    fleet.forget(dead);
  },
};
