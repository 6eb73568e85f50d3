// A fleet as people make it: three real nodes on the test tailnet, by the commands they type. Plain start, ticket,
// approval, promotion, hand over, status on each, leaving.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { MembersReport, NodeReport } from "../../src/fleet/index.ts";
import { eventually } from "../kit/eventually.ts";
import { spawnNode, startNode, type TestNode } from "../kit/node.ts";
import { reportOf, untilReport } from "../kit/report-of.ts";
import { TestTailnet } from "../kit/tailnet.ts";

let tailnet: TestTailnet;
let one: TestNode;
let two: TestNode;
let three: TestNode;

beforeAll(async () => {
  tailnet = await TestTailnet.start();
  one = await startNode({ tailnet, hostname: "one" });
}, 600_000);

afterAll(async () => {
  await Promise.allSettled([three, two, one].map((node) => node?.[Symbol.asyncDispose]()));
  await tailnet?.[Symbol.asyncDispose]();
}, 60_000);

const report = reportOf;
const until = (what: string, node: TestNode, fits: (found: NodeReport) => boolean) =>
  untilReport(what, () => node, fits);

async function ok(node: TestNode, words: readonly string[], input?: string): Promise<string> {
  const { code, out, err } = await node.cli(words, input);
  if (code !== 0) throw new Error(`cairn ${words.join(" ")} ended with ${code}: ${err}`);
  return out;
}

const THREE = ["--join", "auto", "--role", "central", "--labels", "always-on,scanner"];
const voters = (found: NodeReport) => found.members.filter(({ votes }) => votes).map(({ name }) => name);

test("a plain start is a fleet of one that says what that means", async () => {
  const found = await until("the first row", one, ({ members }) => members[0]?.node.startsWith("n") === true);
  expect(found).toMatchObject({ role: "central", fleet_size: 1, fleet: { name: "cairn", leader: "one", voters: 1 } });
  expect(found.fleet.survives).toStartWith("No voter may fail: this node is the only one");
  await ok(one, ["context", "put", "team-a/plan", "-"], "first");
});

test("a ticket of another role, and one that was changed, let no one in", async () => {
  const ticket = (await ok(one, ["ticket", "--role", "regional"])).trim();
  const wrong = `${ticket.slice(0, -1)}${ticket.endsWith("0") ? "1" : "0"}`;
  const forged = ticket.replace("-regional-", "-central-");
  const strangers = [
    // Its own node refuses it; where the text was changed as well, the leader does.
    { args: ["--role", "central"], text: ticket, exit: 10, says: "The ticket is for the role regional" },
    { args: ["--role", "central"], text: forged, exit: 10, says: "The ticket is for the role regional" },
    { args: [], text: wrong, exit: 10, says: "knows no such ticket" },
  ];
  await Promise.all(
    strangers.map(async ({ args, text, exit, says }, index) => {
      const env = { CAIRN_JOIN_TICKET: text };
      const hostname = `stranger-${index}`;
      await using node = await spawnNode({ tailnet, hostname, args: ["--join", "one", ...args], env });
      const { code, err } = await node.exited();
      expect([code, err.includes(says)]).toEqual([exit, true]);
      expect(err).not.toContain(ticket.slice(-32));
    }),
  );
});

test("a second node joins by ticket as regional, has all data, and reads them itself", async () => {
  two = await spawnNode({ tailnet, hostname: "two" });
  await two.stop();
  const file = join(two.home, "ticket");
  writeFileSync(file, await ok(one, ["ticket", "--role", "regional"]), { mode: 0o600 });
  two.env["CAIRN_JOIN_TICKET_FILE"] = file;
  expect(await ok(two, ["join", "one"])).toContain("as regional");
  two.env["CAIRN_JOIN_TICKET_FILE"] = "";
  two = await two.again();
  const joined = await two.eventOf("fleet", ({ text }) => text.startsWith("joined"));
  expect(joined.text).toContain("with two full nodes there is no automatic failover");
  // The rows of the members arrive with the copy, before the first beat says who leads.
  const found = await until("the second member", two, ({ members, fleet }) => {
    return members.length === 2 && members[1]?.lag === 0 && fleet.leader !== "";
  });
  expect(found).toMatchObject({ role: "regional", fleet: { leader: "one", voters: 1 } });
  expect(await ok(two, ["context", "get", "team-a/plan"])).toContain("first");
  await ok(two, ["context", "put", "team-a/two", "-"], "by the second");
  expect(await ok(one, ["context", "get", "team-a/two"])).toContain("by the second");
});

test("what an admin does is done on the leader, and the other node says where", async () => {
  const { code, err } = await two.cli(["ticket", "--role", "edge"]);
  expect([code, err.includes("Run it on one: cairn ticket --role edge")]).toEqual([5, true]);
  expect((await two.cli(["transfer"])).err).toContain("Run it on one: cairn transfer");
});

test("a third node asks, waits, and is approved as central; it does not vote yet", async () => {
  three = await spawnNode({ tailnet, hostname: "three", args: THREE });
  const asks = await three.eventOf("fleet", ({ text }) => text.includes("members approve"));
  expect(asks.text).toContain("cairn members approve three --role central");
  expect(await three.conditions()).toContain("waiting_for_approval");
  expect(await ok(one, ["members"])).toContain("cairn members approve three --role central");
  await ok(one, ["members", "approve", "three", "--role", "central"]);
  const found = await until("the third member", three, ({ members }) => members.length === 3);
  expect(found.role).toBe("central");
  expect(voters(await report(one))).toEqual(["one"]);
});

test("promoted, the second one makes three voters, and one of them may fail", async () => {
  await ok(one, ["promote", "two"]);
  for (const node of [one, two, three]) {
    const found = await until("three voters", node, (each) => voters(each).length === 3 && each.fleet.leader !== "");
    expect(found.fleet.survives).toBe("1 of 3 voters may fail.");
    expect(found.fleet.leader).toBe("one");
  }
  expect(await ok(two, ["status"])).toContain("1 of 3 voters may fail.");
});

test("each member says how its machine does, and the one that fits is picked for work, with reasons", async () => {
  const listed = async () => JSON.parse(await ok(two, ["members", "--json"])) as MembersReport;
  const { members } = await eventually("the facts of all machines", async () => {
    const found = await listed();
    return found.members.every(({ machine }) => machine !== null) && found;
  });
  for (const { machine } of members) {
    expect(machine).toMatchObject({ os: process.platform, arch: process.arch, stale: false });
    expect([machine?.memory_free, machine?.disk_free, machine?.busy_percent]).not.toContain(null);
  }
  const paths = members.map(({ name, self, path, machine }) => [name, self, path, machine?.labels.includes("scanner")]);
  expect(paths).toEqual([
    ["one", false, "direct", false],
    ["two", true, "self", false],
    ["three", false, "direct", true],
  ]);
  expect(await ok(two, ["members"])).toContain("always-on, scanner");
  expect((await report(one)).members.some(({ machine }) => machine !== undefined)).toBe(false);
  const picked = JSON.parse(await ok(one, ["fleet", "pick", "--label", "scanner", "--memory", "1MiB", "--json"]));
  expect(picked).toMatchObject({ member: { name: "three" }, candidates: [{ name: "three", path: "direct" }] });
  expect(picked.left_out.map(({ name, because }: Record<string, string>) => `${name}: ${because}`)).toEqual([
    "one: labels",
    "two: labels",
  ]);
  const { code, out } = await one.cli(["fleet", "pick", "--label", "scanner", "--exclude", "three"]);
  expect([code, out.includes("excluded: it was excluded")]).toEqual([3, true]);
});

test("the lead is handed over, and everyone knows", async () => {
  expect(await ok(one, ["transfer", "two"])).toBe("two leads\n");
  for (const node of [one, two, three]) await until("the new leader", node, ({ fleet }) => fleet.leader === "two");
  await ok(one, ["context", "put", "team-a/after", "-"], "through the new leader");
  expect(await ok(three, ["context", "get", "team-a/after", "--consistency", "leader"])).toContain("new leader");
});

test("a voter leaves: two are left, one of them votes, and the one that left begins again", async () => {
  await ok(one, ["leave", "--yes"]);
  await one.exited();
  const found = await until("two members", two, (each) => each.members.length === 2 && voters(each).length === 1);
  expect(found.fleet.survives).toContain("no automatic failover");
  one = await one.again();
  await one.serving();
  const alone = await until("its own fleet", one, ({ fleet }) => fleet.leader === "one");
  expect(alone.fleet.id).not.toBe(found.fleet.id);
  const kept = join(one.dataDir, "aside");
  expect(readdirSync(kept).some((name) => existsSync(join(kept, name, "store")))).toBe(true);
  const seen = await one.eventOf("fleet", ({ text }) => text.includes("is on this tailnet"));
  expect(seen.text).toContain("cairn join two --role regional");
});
