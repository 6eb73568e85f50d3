// A member applies one command otherwise than the others: in what the chain of changes covers, or in what only the
// digest of the state shows. Both right members keep all they have, and one of them leads; the wrong one gives way and
// gets a copy.

import { FAULTS } from "../../../src/lib/fault.ts";
import { eventually } from "../../kit/eventually.ts";
import { type Alteration, alteredCairn } from "../altered.ts";
import { asides, back, followerOf, killed, leads, serverOf } from "../folders.ts";
import type { Scenario, Trial } from "../scenario.ts";
import { THREE, VOTERS } from "../shapes.ts";
import { put } from "./builds.ts";

/** Words in a write that the wrong build stores with another title, or counts otherwise, by what shows it. */
const WORDS = { chain: "a word for another title", state: "a word that is counted twice" } as const;

const WRONG: readonly Alteration[] = [
  {
    file: "src/operation/registry.ts",
    from: "    return run(tx, command.input, { ...stamp, work: new Work(maxWork) });",
    to: `    const words = JSON.stringify(command.input);
    const input = words.includes("${WORDS.chain}") ? { ...command.input as object, title: "wrong" } : command.input;
    const effect = run(tx, input, { ...stamp, work: new Work(maxWork) });
    if (words.includes("${WORDS.state}")) tx.run("UPDATE usage SET bytes = bytes + 1");
    return effect;`,
  },
];

/** A beat each second, two of them to know what others compared, and what a busy machine adds. */
const SOON_MS = 20_000;

export const wrongLeader: Scenario = {
  name: "wrong-leader",
  title: "a leader applies one command otherwise: it alone gives way and gets a copy, and nothing acknowledged is lost",
  fleet: THREE,
  inGate: true,
  seconds: 120,
  run: (trial) => wrong(trial, "leader"),
};

export const wrongFollower: Scenario = {
  name: "wrong-follower",
  title: "a follower applies one command otherwise: it alone gives way and gets a copy",
  fleet: THREE,
  seconds: 120,
  run: (trial) => wrong(trial, "follower"),
};

/**
 * Two of five give way at one moment. The leader is one of them half of the time: then the three that are right elect
 * another one while two are gone.
 */
export const wrongTwo: Scenario = {
  name: "wrong-two",
  title: "two of five members apply one command otherwise at one moment: both give way, each alone, and get copies",
  fleet: { ...VOTERS, centrals: 5 },
  seconds: 200,
  async run(trial) {
    const { fleet, random } = trial;
    const load = trial.load();
    await load.more(20);
    const old = await fleet.leader();
    const two = fleet
      .up(["central"])
      .filter((each) => each !== old)
      .slice(0, 2);
    const [first] = two;
    if (first === undefined) throw new Error("there is no follower");
    const { command } = first.process;
    for (const node of two) {
      node.harmed = true;
      await killed(node);
      await back(fleet, node, { command: await alteredCairn(WRONG) });
    }
    await fleet.voters(5);
    if (random.chance(0.5)) await leads(fleet, first);
    await load.more(10);
    const right = fleet.up(["central"]).filter((each) => !two.includes(each));
    const seen = () => right.map((each) => `${each.process.pid} ${serverOf(each)} ${asides(each).length}`).join("; ");
    const before = seen();
    const shown = random.pick(["chain", "state"] as const);
    await put(trial, await fleet.leader(), WORDS[shown]);
    await eventually("the end of both", () => two.every((node) => node.process.ended), {
      withinMs: SOON_MS,
      seen: () => fleet.tails(),
    });
    await load.more(20);
    trial.say(`${two.map(({ name }) => name).join(" and ")} were wrong in the ${shown} and gave way`);
    for (const node of two) await back(fleet, node, { command });
    await fleet.voters(5);
    await load.more(20);
    if (seen() !== before) throw new Error(`the right members were ${before} and are ${seen()}`);
    await load.stop();
    trial.say(`all are at ${await fleet.settle()}`);
  },
};

async function wrong(trial: Trial, who: "leader" | "follower"): Promise<void> {
  const { fleet } = trial;
  const load = trial.load();
  await load.more(20);
  const node = await followerOf(fleet);
  node.harmed = true;
  const { command } = node.process;
  await killed(node);
  await back(fleet, node, { command: await alteredCairn(WRONG) });
  await fleet.voters(3);
  if (who === "leader") await leads(fleet, node);
  await load.more(10);
  const right = fleet.up(["central"]).filter((each) => each !== node);
  const seen = () => right.map((each) => `${each.process.pid} ${serverOf(each)} ${asides(each).length}`).join("; ");
  const [before, server, kept] = [seen(), serverOf(node), asides(node).length];
  const shown = trial.random.pick(["chain", "state"] as const);
  const began = performance.now();
  await put(trial, await fleet.leader(), WORDS[shown]);
  await eventually(`the end of ${node.name}`, () => node.process.ended, {
    withinMs: SOON_MS,
    seen: () => fleet.tails(),
  });
  const { code } = await node.process.exited();
  if (code !== FAULTS.log_failed.exit) throw new Error(`${node.name} ended with ${code}: no manager starts it again`);
  const next = await fleet.leader(node);
  const tookMs = Math.round(performance.now() - began);
  trial.say(`${next.name} leads ${tookMs} ms after ${node.name} was wrong in its ${shown}`);
  await load.more(20);
  await back(fleet, node, { command });
  await fleet.voters(3);
  await load.more(20);
  if (seen() !== before) throw new Error(`the right members were ${before} and are ${seen()}`);
  if (serverOf(node) !== server || asides(node).length !== kept + 1)
    throw new Error(`${node.name} came back as ${serverOf(node)} with ${asides(node).length} set aside`);
  await load.stop();
  trial.say(`all are at ${await fleet.settle()}, ${node.name} too`);
}
