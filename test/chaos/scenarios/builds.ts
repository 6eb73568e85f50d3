// Builds that differ: one whose apply fails at an entry, one that knows a command which the others do not, one of a
// higher level with another schema. A node that cannot continue stops with an error and applies nothing; with the right
// build it continues, and all are equal.

import { join } from "node:path";
import { MIGRATIONS } from "../../../src/features/index.ts";
import { KNOWN_LEVEL } from "../../../src/log/level.ts";
import { inspectStore } from "../../../src/store/inspect.ts";
import { eventually } from "../../kit/eventually.ts";
import type { FleetNode } from "../../kit/fleet.ts";
import { type Alteration, alteredCairn } from "../altered.ts";
import { hashOf } from "../documents.ts";
import { nodeTarget } from "../fleet-clients.ts";
import { back, followerOf, killed, leads, lose } from "../folders.ts";
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

/** A table more, a column more, and rows that change. */
const NEXT_SCHEMA =
  "CREATE TABLE moods (id TEXT PRIMARY KEY, mood TEXT NOT NULL) STRICT, WITHOUT ROWID;" +
  "ALTER TABLE contexts ADD COLUMN mood TEXT NOT NULL DEFAULT 'fine';" +
  "UPDATE contexts SET mood = 'good' WHERE version = 1;" +
  "INSERT INTO moods SELECT id, mood FROM contexts;";

const HIGHER_LEVEL: readonly Alteration[] = [
  { file: "src/log/level.ts", from: `KNOWN_LEVEL = ${KNOWN_LEVEL};`, to: `KNOWN_LEVEL = ${NEXT_LEVEL};` },
  {
    file: "src/operation/derive.ts",
    from: "  for (const [index, { id, level, name }] of all.entries()) {",
    to:
      `  all.push({ id: all.length + 1, level: ${NEXT_LEVEL}, name: "next", sql: "${NEXT_SCHEMA}" });\n` +
      "  for (const [index, { id, level, name }] of all.entries()) {",
  },
];

export const poisonEntry: Scenario = {
  name: "poison-entry",
  title: "an entry that a build cannot apply: at a follower alone, at the leader alone, at all three",
  fleet: VOTERS,
  outageMs: 60_000,
  seconds: 240,
  async run(trial) {
    const { fleet } = trial;
    const command = await alteredCairn(POISON);
    const load = trial.load();
    await load.more(30);
    const bad = await followerOf(fleet);
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
      node.harmed = true;
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
  title: "a build of a higher level with another schema: copies both ways, a way back, a rolling restart; then none",
  fleet: { centrals: 3, regionals: 1, profile: "lan", args: UNLIMITED },
  seconds: 400,
  async run(trial) {
    const { fleet } = trial;
    const command = await alteredCairn(HIGHER_LEVEL);
    await trial.follow();
    const load = trial.load();
    await load.more(30);
    const nodes = [...fleet.up()];
    const older = { command: nodes[0]?.process.command ?? [] };
    await mixed(trial, { command });
    expectSchemas(nodes, MIGRATIONS.length);
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
    await fleet.caughtUp();
    expectSchemas(nodes, MIGRATIONS.length + 1);
    const old = nodes.find(({ role }) => role === "regional");
    if (old === undefined) throw new Error("there is no regional");
    await killed(old);
    await load.more(10);
    await old.restart(older);
    const said = await stops(trial, old, "the old build");
    if (!said.includes(`has schema ${MIGRATIONS.length + 1}; this version of cairn knows`))
      throw new Error(`${old.name} does not say why it ended: ${said}`);
    await outdated(trial, old, older);
    await back(fleet, old, { command });
    await load.more(10);
    // The checker requires all nodes that are up at the end to be equal, so none may run an older build.
    await fleet.caughtUp();
  },
};

/** Two builds before the level is raised: each takes a copy from a leader of the other, and the newer goes back. */
async function mixed(trial: Trial, newer: { command: string[] }): Promise<void> {
  const { fleet } = trial;
  const [one, other] = fleet.up(["central"]);
  if (one === undefined || other === undefined) throw new Error("there are no two voters");
  const roles = [
    { leader: one, follower: other, build: {}, what: "the older build from the newer" },
    { leader: other, follower: one, build: newer, what: "the newer build from the older" },
  ];
  await one.process.stop();
  await one.restart(newer);
  await one.serving();
  for (const { leader, follower, build, what } of roles) {
    await fleet.voters(3);
    await leads(fleet, leader);
    await killed(follower);
    lose(follower, "store");
    await back(fleet, follower, build);
    trial.say(`a copy went to ${follower.name}: ${what}`);
  }
  await killed(one);
  await back(fleet, one);
  await fleet.voters(3);
  trial.say(`${one.name} is back with the older build`);
}

/**
 * An older build without a store gets no copy from a fleet of a higher level and says so; without a store it sends no
 * heartbeats, so the leader says that it is away.
 */
async function outdated(trial: Trial, node: FleetNode, older: { command: readonly string[] }): Promise<void> {
  const { fleet } = trial;
  lose(node, "store");
  await node.restart(older);
  const told = [
    { one: node, wanted: "build_too_old" },
    { one: await fleet.leader(node), wanted: "member_unreachable" },
  ];
  for (const { one, wanted } of told) {
    let seen: unknown;
    await eventually(
      `${wanted} on ${one.name}`,
      async () => {
        const report = await one.status();
        seen = report?.conditions;
        return report?.conditions.some(({ code }) => code === wanted);
      },
      { withinMs: 30_000, seen: () => `${JSON.stringify(seen)}\n${fleet.tails()}` },
    );
  }
  if (node.process.ended) throw new Error(`${node.name} ended over a copy that it cannot install`);
  trial.say(`${node.name} gets no copy with the old build, and conditions say so there and on the leader`);
  await killed(node);
}

function expectSchemas(nodes: readonly FleetNode[], schema: number): void {
  for (const { name, dataDir } of nodes) {
    const found = inspectStore(join(dataDir, "store"), () => undefined)?.schema;
    if (found !== schema) throw new Error(`the store of ${name} has schema ${found}, not ${schema}`);
  }
}

/** Puts a context with a word in it, and records the write. */
export async function put({ device, prefix, rows }: Trial, node: FleetNode, word: string): Promise<void> {
  const idempotencyKey = crypto.randomUUID();
  const part = { operation: "put" as const, key: `${prefix}poison`, text: JSON.stringify(`${word} ${idempotencyKey}`) };
  const invokeMs = performance.now();
  const said = await nodeTarget(device, node).write({ parts: [part], idempotencyKey }, AbortSignal.timeout(5_000));
  const row = {
    process: idempotencyKey,
    operation: part.operation,
    key: part.key,
    invokeMs,
    completeMs: performance.now(),
    node: node.name,
    hash: hashOf(part.text),
  };
  if (said.outcome === "ok")
    rows.push({ ...row, outcome: "ok", code: "", version: said.version, position: said.position });
  else rows.push({ ...row, outcome: said.outcome, code: said.code, version: 0, position: undefined });
}

/** Waits until a node has ended with an error, and returns what it wrote on stderr. */
async function stops(trial: Trial, node: FleetNode, what: string): Promise<string> {
  node.harmed = true;
  await eventually(`the end of ${node.name}`, () => node.process.ended, {
    withinMs: 40_000,
    seen: () => trial.fleet.tails(),
  });
  const { code, err } = await node.process.exited();
  trial.say(`${node.name}, ${what}, ended with ${code}: ${err.trim().split("\n").slice(-2).join(" | ").slice(0, 600)}`);
  if (code === 0 || code === null) throw new Error(`${node.name} ended with ${code}, as if nothing were wrong`);
  return err;
}
