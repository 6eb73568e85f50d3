// A purge on a real fleet: the bytes of a purged text leave every file of leader, followers and an edge, also of a
// member that was away. Until then, and while a backup has them, the status says where they are.

import { expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../kit/eventually.ts";
import { type FleetNode, startFleet } from "../kit/fleet.ts";

const SECRET = "correct-horse-battery-staple";

/** Returns the files of a data folder that hold the secret, apart from backups. */
function holding(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => !name.startsWith("backups"))
    .filter((name) => {
      const path = join(folder, name);
      return statSync(path, { throwIfNoEntry: false })?.isFile() === true && readFileSync(path).includes(SECRET);
    });
}

async function conditionOf(node: FleetNode, code: string): Promise<string | undefined> {
  const report = await node.status();
  if (report === undefined) throw new Error(`${node.name} has no status`);
  return report.conditions.find((condition) => condition.code === code)?.text;
}

async function done(node: FleetNode, operation: string, input: object) {
  const { status, text, body } = await node.call(operation, input, 20_000);
  expect([operation, status, text]).toEqual([operation, 200, text]);
  return body;
}

test("a purged text leaves every file of the fleet", async () => {
  await using fleet = await startFleet({ centrals: 3, edges: 1 });
  const leader = await fleet.leader();
  const [edge] = fleet.up(["edge"]);
  const away = fleet.up(["central"]).find((node) => node !== leader);
  if (edge === undefined || away === undefined) throw new Error("no fleet");
  await done(leader, "space_configure", { space: "run", edge: "stale" });
  for (let at = 0; at < 40; at++)
    await done(leader, "context_put", { id: `run/n-${at}`, content: "x".repeat(60 * at) });
  await done(leader, "context_put", { id: "run/secret", content: SECRET, title: `the title ${SECRET}` });
  await done(leader, "context_put", { id: "run/secret", content: `${SECRET} ${"y".repeat(20_000)}` });
  await done(leader, "context_put", { id: "run/secret", content: `again ${SECRET}`, tags: [SECRET] });
  await fleet.caughtUp();
  // The edge writes what it caches to its file within half a second.
  await eventually("the edge to keep it on its disk", async () => {
    await done(edge, "context_get", { id: "run/secret" });
    return holding(edge.dataDir).some((name) => name.startsWith("edge"));
  });
  await done(leader, "backup_now", {});
  const backup = String(
    (await done(leader, "backup_list", {}))["last"] && readdirSync(join(leader.dataDir, "backups"))[0],
  );
  for (const { dataDir } of fleet.up()) {
    const files = holding(dataDir);
    expect(files.some((name) => name.startsWith("raft/entries/"))).toBe(true);
    expect(files.some((name) => name.startsWith("store/"))).toBe(true);
  }
  away.kill();
  await away.process.exited();
  const purged = await done(leader, "context_purge", { id: "run/secret" });
  expect(purged).toMatchObject({ purged: 3, erasure: "pending" });
  await eventually(
    "the status to name the member that is away, and no other",
    async () => {
      return (await conditionOf(leader, "purge_pending")) === `Pending on ${away.name} (away)`;
    },
    { withinMs: 30_000, seen: () => fleet.tails() },
  );
  for (const { name, dataDir } of [...fleet.up(), edge]) expect([name, ...holding(dataDir)]).toEqual([name]);
  expect(holding(away.dataDir).some((name) => name.startsWith("raft/entries/"))).toBe(true);
  // The edge gets the state of the others once a second.
  const only = `Pending on ${away.name} (away)`;
  await eventually("the edge to say so", async () => (await conditionOf(edge, "purge_pending")) === only);
  expect(await conditionOf(leader, "purge_in_backups")).toBe(`From before the last purge: ${leader.name}: ${backup}`);
  await away.restart();
  await away.serving();
  await eventually("nothing to be pending", async () => (await conditionOf(leader, "purge_pending")) === undefined, {
    withinMs: 30_000,
    seen: () => fleet.tails(),
  });
  for (const { name, dataDir } of [...fleet.up(), edge]) expect([name, ...holding(dataDir)]).toEqual([name]);
  // The fleet goes on from these files.
  await done(leader, "context_put", { id: "run/after", content: "fine" });
  await fleet.caughtUp();
  expect(await done(leader, "audit_verify", {})).toMatchObject({ ok: true });
}, 120_000);
