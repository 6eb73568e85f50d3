// Builds that differ: one whose apply fails at an entry, one that knows a command which the others do not, one of a
// higher level. A node that cannot continue stops with an error and applies nothing; with the right build it continues,
// and all are equal.

import { KNOWN_LEVEL } from "../../../src/log/level.ts";
import { eventually } from "../../kit/eventually.ts";
import type { FleetNode } from "../../kit/fleet.ts";
import { type Alteration, alteredCairn } from "../altered.ts";
import { nodeTarget } from "../fleet-clients.ts";
import { back, killed, leads } from "../folders.ts";
import { hashOf } from "../load.ts";
import type { Scenario, Trial } from "../scenario.ts";
import { UNLIMITED, VOTERS } from "../shapes.ts";

const POISONOUS = "a poisonous word";

const POISON: readonly Alteration[] = [
  {
    file: "src/operation/registry.ts",
    from: "    return run(tx, command.input, { ...stamp, work: new Work(maxWork) });",
    to:
      '    if (JSON.stringify(command.input).includes("' +
      POISONOUS +
      '")) throw new TypeError("this build cannot apply that");\n    return run(tx, command.input, { ...stamp, work: new Work(maxWork) });',
  },
];

const LATER = "a word of a later build";

/** Writes with such a word are a command that only this build knows. */
const LATER_COMMAND: readonly Alteration[] = [
  {
    file: "src/log/entry.ts",
    from: "packr.pack([name, ",
    to: `packr.pack([JSON.stringify(input).includes("${LATER}") ? "context_put_anew" : name, `,
  },
  {
    file: "src/operation/registry.ts",
    from: "registry.write(name, v);",
    to: 'registry.write(name === "context_put_anew" ? "context_put" : name, v);',
  },
];

const NEXT_LEVEL = KNOWN_LEVEL + 1;

const HIGHER_LEVEL: readonly Alteration[] = [
  { file: "src/log/level.ts", from: `KNOWN_LEVEL = ${KNOWN_LEVEL};`, to: `KNOWN_LEVEL = ${NEXT_LEVEL};` },
];

export const poisonEntry: Scenario = {
  name: "poison-entry",
  title: "an entry that a build cannot apply: at a follower alone, at the leader alone, at all three",
  fleet: VOTERS,
  seconds: 240,
  async run(trial) {
    const { fleet } = trial;
    const command = await alteredCairn(POISON);
    const load = trial.load();
    await load.more(30);
    const first = await fleet.leader();
    const bad = fleet.up(["central"]).find((node) => node !== first);
    if (bad === undefined) throw new Error("there is no follower");
    const mended = { command: bad.process.command };
    for (const isLeader of [false, true]) {
      await killed(bad);
      await bad.restart({ command });
      await bad.serving();
      await fleet.voters(3);
      if (isLeader) await leads(fleet, bad);
      await put(trial, await fleet.leader(), POISONOUS);
      await stops(trial, bad, isLeader ? "the leader" : "a follower");
      await load.more(20);
      await bad.restart({ command });
      await stops(trial, bad, "the same build again");
      await back(fleet, bad, mended);
      await fleet.voters(3);
    }
    for (const node of fleet.up()) {
      await killed(node);
      await node.restart({ command });
      await node.serving();
      await fleet.voters(3);
    }
    const nodes = fleet.up();
    const poisoned = put(trial, await fleet.leader(), POISONOUS);
    // A node that did not learn of the commit before the others end waits for them.
    await eventually("two of three to have ended", () => nodes.filter(({ process }) => process.ended).length >= 2);
    trial.say(`${nodes.filter(({ process }) => process.ended).map(({ name }) => name)} ended`);
    await poisoned;
    for (const node of nodes) {
      if (!node.process.ended) await killed(node);
      await node.restart(mended);
    }
    for (const node of nodes) await node.serving();
    await fleet.voters(3);
    await load.more(20);
  },
};

export const unknownCommand: Scenario = {
  name: "unknown-command",
  title: "two of three know a command that the third does not: it stops, and goes on with their build",
  fleet: VOTERS,
  seconds: 200,
  async run(trial) {
    const { fleet } = trial;
    const command = await alteredCairn(LATER_COMMAND);
    const load = trial.load();
    await load.more(30);
    const old = await fleet.leader();
    const [one, other] = fleet.up(["central"]).filter((node) => node !== old);
    if (one === undefined || other === undefined) throw new Error("there are no two followers");
    for (const node of [one, other]) {
      await killed(node);
      await node.restart({ command });
      await node.serving();
      await fleet.voters(3);
    }
    await leads(fleet, one);
    await put(trial, one, LATER);
    await stops(trial, old, "the older build");
    await load.more(20);
    await old.restart();
    await stops(trial, old, "the older build again");
    await old.restart({ command });
    await old.serving();
    await fleet.voters(3);
    await load.more(20);
  },
};

export const levels: Scenario = {
  name: "levels",
  title: "a rolling restart with a build of a higher level under load; then the old build is refused",
  fleet: { centrals: 3, regionals: 1, profile: "lan", args: UNLIMITED },
  seconds: 240,
  async run(trial) {
    const { fleet } = trial;
    const command = await alteredCairn(HIGHER_LEVEL);
    await trial.follow();
    const load = trial.load();
    await load.more(30);
    const nodes = [...fleet.up()];
    const older = { command: nodes[0]?.process.command ?? [] };
    for (const [at, node] of nodes.entries()) {
      const began = performance.now();
      await node.process.stop();
      await node.restart({ command });
      await node.serving();
      await fleet.voters(3);
      await load.more(10);
      const level = (await (await fleet.leader()).status())?.fleet.level;
      trial.say(
        `${node.name} at level ${NEXT_LEVEL} after ${Math.round(performance.now() - began)} ms; the fleet's level is ${level}`,
      );
      if (at < nodes.length - 1 && level !== KNOWN_LEVEL)
        throw new Error(`the fleet's level is ${level} while a member knows level ${KNOWN_LEVEL} only`);
    }
    await eventually("the next level", async () => (await (await fleet.leader()).status())?.fleet.level === NEXT_LEVEL);
    await load.more(20);
    const old = nodes.find(({ role }) => role === "regional");
    if (old === undefined) throw new Error("there is no regional");
    await killed(old);
    await load.more(10);
    await old.restart(older);
    await stops(trial, old, "the old build");
    await old.restart({ command });
    await old.serving();
    await load.more(10);
    // The checker requires all nodes that are up at the end to be equal, so none may run an older build.
    await fleet.caughtUp();
  },
};

/** Puts a context with a word in it, and records the write. */
export async function put({ device, prefix, rows }: Trial, node: FleetNode, word: string): Promise<void> {
  const content = `${word} ${crypto.randomUUID()}`;
  const ask = { key: `${prefix}poison`, content, condition: undefined, idempotencyKey: crypto.randomUUID() };
  const invokeMs = performance.now();
  const said = await nodeTarget(device, node).put(ask, AbortSignal.timeout(5_000));
  const row = {
    process: ask.idempotencyKey,
    operation: "put" as const,
    key: ask.key,
    invokeMs,
    completeMs: performance.now(),
    node: node.name,
    condition: undefined,
    hash: hashOf(content),
  };
  if (said.outcome === "ok") rows.push({ ...row, ...said, hash: row.hash, code: "" });
  else rows.push({ ...row, outcome: said.outcome, code: said.code, version: 0, position: undefined });
}

async function stops(trial: Trial, node: FleetNode, what: string): Promise<void> {
  await eventually(`the end of ${node.name}`, () => node.process.ended, {
    withinMs: 40_000,
    seen: () => trial.fleet.tails(),
  });
  const { code, err } = await node.process.exited();
  trial.say(`${node.name}, ${what}, ended with ${code}: ${err.trim().split("\n").slice(-2).join(" | ").slice(0, 600)}`);
  if (code === 0 || code === null) throw new Error(`${node.name} ended with ${code}, as if nothing were wrong`);
}
