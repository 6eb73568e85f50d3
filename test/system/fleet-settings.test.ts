// Members that were started with different limits, on a real tailnet: the limits are those that the fleet began with,
// on every member and after a handover, until one write changes them.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { FLEET_SETTINGS_LEVEL } from "../../src/operation/fleet-settings.ts";
import { inspectStore } from "../../src/store/inspect.ts";
import { eventually } from "../kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../kit/fleet.ts";
import { makeStoreAt, migrationsUpTo } from "../kit/level.ts";
import { startNode } from "../kit/node.ts";
import { untilReport } from "../kit/report-of.ts";
import { temporaryFolder } from "../kit/temporary.ts";

/** `history.max_versions` of each member; the first one begins the fleet. */
const GIVEN: Readonly<Record<string, string>> = { "central-1": "12", "central-2": "2", "central-3": "5" };

let fleet: Fleet;

beforeAll(async () => {
  fleet = await startFleet({
    centrals: 3,
    argsOf: (name) => [
      ...["--history-max-versions", GIVEN[name] ?? "1", "--history-keep-hours", "0"],
      ...["--context-max-bytes", "4096"],
    ],
  });
}, 300_000);

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
}, 60_000);

async function versionsAt(node: FleetNode, id: string): Promise<unknown> {
  const { body } = await node.call("context_metadata", { id, consistency: "any" });
  return body["versions"];
}

async function put(node: FleetNode, id: string, content: string): Promise<number> {
  const { status } = await node.call("context_put", { id, content }, 20_000);
  return status;
}

/** Asks again where it fails: the connection to a member that has just started may be an old one. */
async function handOver(to: FleetNode): Promise<void> {
  let answer = "";
  await eventually(
    `${to.name} to lead`,
    async () => {
      const leader = await fleet.leaderNow();
      if (leader === to || leader === undefined) return leader;
      answer = (await leader.call("fleet_transfer", { node: to.id }, 20_000)).text;
      return undefined;
    },
    { withinMs: 40_000, seen: () => `${answer}\n${fleet.tails()}` },
  );
}

function nodeNamed(name: string): FleetNode {
  const found = fleet.nodes.find((node) => node.name === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

test("a handover to a member with lower limits of its own removes nothing on any node", async () => {
  const [one, two] = [nodeNamed("central-1"), nodeNamed("central-2")];
  await handOver(one);
  for (let version = 1; version <= 12; version += 1)
    expect(await put(one, "team-a/plan", `${version}`)).toBeLessThan(300);
  await handOver(two);
  expect(await put(two, "team-a/plan", "13")).toBe(200);
  await fleet.caughtUp();
  expect(await Promise.all(fleet.nodes.map((node) => versionsAt(node, "team-a/plan")))).toEqual([12, 12, 12]);
});

test("each member that was given another value says so, with both and what to do", async () => {
  const texts = await Promise.all(
    fleet.nodes.map(async (node) => {
      const found = (await node.status())?.conditions.find(({ code }) => code === "fleet_settings_differ");
      return [node.name, found?.text];
    }),
  );
  const text = (own: string) =>
    `history.max_versions is ${own} on this node (--history-max-versions) and 12 in the fleet`;
  expect(Object.fromEntries(texts)).toEqual({ "central-1": undefined, "central-2": text("2"), "central-3": text("5") });
  expect((await nodeNamed("central-2").status())?.fleet.settings).toEqual({
    "history.max_versions": "12",
    "history.keep_hours": "0",
    "context.max_bytes": "4096",
  });
});

test("cairn fleet settings shows the values, sets one on the leader, and says elsewhere where", async () => {
  const leader = await fleet.leader();
  const other = nodeNamed(leader.name === "central-1" ? "central-2" : "central-1");
  const words = ["fleet", "settings", "history.max_versions", "5"];
  expect((await other.process.cli(["fleet", "settings", "history.max_versions"])).out).toMatch(
    /^history\.max_versions +12 +Versions kept/,
  );
  expect((await other.process.cli([...words, "--yes"])).err).toContain(
    `Run it on ${leader.name}: cairn ${words.join(" ")}`,
  );
  expect((await leader.process.cli(words)).err).toContain("no terminal to confirm it on");
  // What cannot be set is refused before a person is asked to confirm it.
  const wrong = await leader.process.cli(["fleet", "settings", "history.max_versions", "-5"]);
  expect(wrong.err).toStartWith('cairn: `history.max_versions` must be a whole number from 0 to 1000000, got "-5"\n');
  expect((await leader.process.cli(["fleet", "settings", "history.max", "5"])).err).toContain(
    '"history.max" is no setting of the fleet',
  );
  // On a busy machine the leadership may move between two commands; the member that has it no longer refuses.
  const set = await eventually("the leader to set it", async () => {
    const done = await (await fleet.leader()).process.cli([...words, "--yes"]);
    return done.code === 5 ? undefined : done;
  });
  expect([set.code, set.out]).toEqual([0, "history.max_versions is 5 on every node now; it was 12\n"]);
  expect((await leader.process.cli(["status"])).out).toContain("history.max_versions 5");
  expect((await leader.process.cli(["fleet", "settings", "log.level"])).err).toContain("is no setting of the fleet");
  await fleet.caughtUp();
  const leading = await fleet.leader();
  expect(await put(leading, "team-a/plan", "14")).toBe(200);
  await fleet.caughtUp();
  expect(await Promise.all(fleet.nodes.map((node) => versionsAt(node, "team-a/plan")))).toEqual([5, 5, 5]);
  const conditions = (await nodeNamed("central-3").status())?.conditions.map(({ code }) => code);
  expect(conditions).not.toContain("fleet_settings_differ");
});

test("a member that starts again keeps to the fleet's values", async () => {
  const three = nodeNamed("central-3");
  three.kill();
  await three.restart({ args: [...(three.options.args ?? []), "--history-max-versions", "1"] });
  await three.serving();
  await eventually("its condition", async () =>
    (await three.status())?.conditions.some(({ text }) => text.includes("is 1 on this node")),
  );
  await fleet.voters(3);
  await handOver(three);
  expect(await put(three, "team-a/plan", "15")).toBe(200);
  await fleet.caughtUp();
  expect(await Promise.all(fleet.nodes.map((node) => versionsAt(node, "team-a/plan")))).toEqual([5, 5, 5]);
}, 60_000);

test("a fleet from below the level begins with the settings of its leader's node once the level is raised", async () => {
  const dataDir = temporaryFolder();
  makeStoreAt(join(dataDir, "store"), FLEET_SETTINGS_LEVEL - 1);
  const args = ["--history-max-versions", "7"];
  await using node = await startNode({ tailnet: fleet.tailnet, hostname: "older", dataDir, args });
  const raised = await untilReport(
    "the raised level",
    () => node,
    ({ fleet: { level } }) => level >= FLEET_SETTINGS_LEVEL,
  );
  expect(raised.fleet.settings).toEqual({ "history.max_versions": "7" });
  // The level has brought its schema, while the node runs.
  const { length } = migrationsUpTo(raised.fleet.level);
  expect(inspectStore(join(dataDir, "store"), () => undefined)?.schema).toBe(length);
  expect((await node.cli(["audit"])).out).toContain("fleet/settings/history.max_versions");
  expect((await node.cli(["audit", "--verify"])).code).toBe(0);
}, 60_000);
