// Members that come back: a wiped disk, a folder whose parts do not fit, a copied folder, another name, another
// address. Real nodes; three voters, of which one goes through it all.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NodeReport } from "../../src/fleet/index.ts";
import { eventually } from "../kit/eventually.ts";
import { spawnNode, startNode, type TestNode } from "../kit/node.ts";
import { reportOf, untilReport, votersOf } from "../kit/report-of.ts";
import { clientFetch, TestTailnet } from "../kit/tailnet.ts";

let tailnet: TestTailnet;
const nodes = new Map<string, TestNode>();
const copies: string[] = [];

const node = (name: string): TestNode => {
  const found = nodes.get(name);
  if (found === undefined) throw new Error(`no node ${name}`);
  return found;
};

beforeAll(async () => {
  tailnet = await TestTailnet.start();
  nodes.set("one", await startNode({ tailnet, hostname: "one" }));
  await Promise.all(
    ["two", "three"].map(async (name) => {
      const ticket = (await node("one").cli(["ticket", "--role", "central"])).out.trim();
      const joining = { tailnet, hostname: name, args: ["--join", "one"], env: { CAIRN_JOIN_TICKET: ticket } };
      nodes.set(name, await spawnNode(joining));
      await node(name).eventOf("fleet", ({ text }) => text.startsWith("joined"));
    }),
  );
  await until("three voters", "one", (found) => voters(found) === "one three two");
  await node("one").cli(["context", "put", "team-a/plan", "-"], "kept by all");
}, 600_000);

afterAll(async () => {
  await Promise.allSettled([...nodes.values()].map((each) => each[Symbol.asyncDispose]()));
  await tailnet?.[Symbol.asyncDispose]();
  for (const folder of copies) rmSync(folder, { recursive: true, force: true });
}, 60_000);

const report = (name: string) => reportOf(node(name));
const until = (what: string, name: string, fits: (found: NodeReport) => boolean) =>
  untilReport(what, () => node(name), fits);
const voters = votersOf;

async function serverOf(name: string): Promise<string> {
  const { out } = await node("one").cli(["members", "--json"]);
  const { members }: { members: { name: string; server: string }[] } = JSON.parse(out);
  return members.find((each) => each.name === name)?.server ?? "";
}

/** Stops a node, changes its data folder, and starts it again. */
async function restart(name: string, change: (dataDir: string) => void, args?: readonly string[]): Promise<void> {
  const old = node(name);
  await old.stop();
  change(old.dataDir);
  nodes.set(name, await old.again(args === undefined ? { args: [] } : { args }));
}

const plan = async (name: string) =>
  (await node(name).cli(["context", "get", "team-a/plan", "--consistency", "any"])).out;

test("a wiped disk: the device comes back without a ticket, as a new server, and votes again", async () => {
  const before = await serverOf("three");
  await restart(
    "three",
    (data) => {
      for (const folder of ["store", "raft"]) rmSync(join(data, folder), { recursive: true });
    },
    ["--join", "auto"],
  );
  await node("three").eventOf("fleet", ({ text }) => text.startsWith("joined the fleet cairn as central"));
  await until(
    "its vote",
    "one",
    (found) => voters(found) === "one three two" && found.members.every(({ lag }) => lag === 0),
  );
  expect(await serverOf("three")).not.toBe(before);
  expect(await plan("three")).toContain("kept by all");
});

test("a store without its raft folder is set aside, and the node comes back by itself", async () => {
  const before = await serverOf("three");
  await restart("three", (data) => {
    for (const name of readdirSync(join(data, "raft")))
      if (name !== "fleet.json") rmSync(join(data, "raft", name), { recursive: true });
  });
  const said = await node("three").eventOf("fleet", ({ text }) => text.includes("is kept in"));
  expect(said.text).toContain("retired");
  await eventually("its new server", async () => (await serverOf("three")) !== before);
  await until("its vote", "one", (found) => voters(found) === "one three two");
  expect(await plan("three")).toContain("kept by all");
  expect(readdirSync(join(node("three").dataDir, "aside")).length).toBe(1);
});

test("a lost store costs neither server id nor vote; nor do stores of others on two of three at once", async () => {
  const names = ["two", "three"] as const;
  const servers = () => Promise.all(names.map(serverOf));
  const before = await servers();
  await restart("three", (data) => rmSync(join(data, "store"), { recursive: true }));
  const whole = (found: NodeReport) =>
    voters(found) === "one three two" &&
    found.members.every(({ lag, age_seconds: age }) => lag === 0 && (age ?? 9) < 2);
  const backWith = async (asides: readonly number[]) => {
    await until("all three", "one", whole);
    for (const name of names) await eventually(`the plan on ${name}`, async () => (await plan(name)).includes("kept"));
    expect(await servers()).toEqual(before);
    const kept = names.map((name) => join(node(name).dataDir, "aside"));
    expect(kept.map((folder) => (existsSync(folder) ? readdirSync(folder).length : 0))).toEqual([...asides]);
  };
  const already = existsSync(join(node("three").dataDir, "aside"))
    ? readdirSync(join(node("three").dataDir, "aside")).length
    : 0;
  await backWith([0, already]);
  const stopped = names.map((name) => node(name));
  for (const each of stopped) await each.stop();
  const [store, other] = stopped.map(({ dataDir }) => join(dataDir, "store")) as [string, string];
  renameSync(store, `${store}.swap`);
  renameSync(other, store);
  renameSync(`${store}.swap`, other);
  for (const [at, each] of stopped.entries()) nodes.set(names[at] as string, await each.again({ args: [] }));
  await backWith([1, already + 1]);
  for (const name of names) expect(existsSync(join(node(name).dataDir, "retired"))).toBe(false);
  expect((await node("two").cli(["context", "put", "team-a/plan", "-"], "kept by all")).code).toBe(0);
});

test("another address and another name while it runs: it votes on, is reached and is called so", async () => {
  await tailnet.update("three", { ip: "100.71.7.7", name: "drei" });
  await until("its new name", "one", (found) => voters(found) === "drei one two");
  // All that anybody knew of it was heard before or after: only what is heard now counts.
  await node("one").cli(["context", "put", "team-a/plan", "-"], "kept by all, and more");
  await until("it to follow", "one", ({ members }) =>
    members.some(({ name, lag, age_seconds: age }) => name === "drei" && lag === 0 && age !== null && age < 2),
  );
  expect(await plan("three")).toContain("and more");
  // What it forwards goes over the new address too, and so does what comes to it.
  expect((await node("three").cli(["context", "put", "team-a/plan", "-"], "kept by all, from there")).code).toBe(0);
  const { proxy } = await tailnet.client({ hostname: "agent" });
  expect((await clientFetch(proxy, "http://100.71.7.7/health")).status).toBe(200);
  await tailnet.update("three", { name: "three" });
  for (const name of ["one", "three"]) await until("its old name", name, (found) => voters(found) === "one three two");
});

test("a copied folder on another device is refused, set aside, and begins again", async () => {
  const home = mkdtempSync(join(tmpdir(), "cairn-t-copy-"));
  copies.push(home);
  const data = join(home, "data");
  cpSync(node("three").dataDir, data, {
    recursive: true,
    filter: (path) => !/\/(tailnet|lib|backups|aside)$/.test(path),
  });
  const copy = await spawnNode({ tailnet, hostname: "copy", dataDir: data });
  const { code, err } = await copy.exited();
  expect(err).toContain("is a copy of that of three");
  expect(code).toBe(44);
  const again = await copy.again();
  await again.serving();
  await copy[Symbol.asyncDispose]();
  nodes.set("copy", again);
  const said = await again.eventOf("fleet", ({ text }) => text.includes("is a copy of that of three"));
  expect(said.text).toContain("is kept in");
  expect(existsSync(join(data, "aside"))).toBe(true);
  const found = await until("its own fleet", "copy", ({ fleet }) => fleet.leader === "copy");
  expect(found.fleet_size).toBe(1);
  expect(voters(await report("one"))).toBe("one three two");
  const three = await report("three");
  expect([three.status, three.conditions]).not.toContain("failing");
});

test("a member that is removed while it is away hears so, and says it", async () => {
  await node("three").stop();
  // Under load another one may lead by now.
  const { fleet } = await until("a leader", "one", ({ fleet: { leader } }) => leader === "one" || leader === "two");
  expect((await node(fleet.leader).cli(["members", "remove", "three", "--yes"])).err).toContain("This removes three (");
  await until("two members", "one", ({ members }) => members.length === 2);
  nodes.set("three", await node("three").again({ args: [] }));
  await node("three").serving();
  await eventually("its condition", async () => (await node("three").conditions()).includes("removed_from_fleet"));
});

test("a lost tailnet identity: while its old device is nowhere to be seen, its data stay and say what to do", async () => {
  const old = node("two");
  await old.stop();
  await tailnet.remove("two");
  rmSync(join(old.dataDir, "tailnet"), { recursive: true });
  const other = await old.again({ hostname: "stray", args: [] });
  const { code, err } = await other.exited();
  expect([code, err.includes("that one is not on the tailnet")]).toEqual([44, true]);
  expect([existsSync(join(old.dataDir, "store")), existsSync(join(old.dataDir, "set-aside.json"))]).toEqual([
    true,
    false,
  ]);
  await other[Symbol.asyncDispose]();
});
