// What happens to the two folders of a stopped node: lost, replaced by an older copy, exchanged with those of another
// node; and a restart as a supervisor would do it.

import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../kit/eventually.ts";
import type { Fleet, FleetNode } from "../kit/fleet.ts";

export type Part = "store" | "raft";

/** How often a node may end by itself before it is back: once to report that its data are set aside, and once more. */
const STARTS = 3;
const BACK_MS = 60_000;

/** Kills with kill -9 and waits for the end of the process. */
export async function killed(node: FleetNode): Promise<void> {
  node.kill();
  await node.process.exited();
}

/** Removes folders of a node that does not run. */
export function lose(node: FleetNode, ...parts: readonly Part[]): void {
  node.harmed = true;
  for (const part of parts) rmSync(join(node.dataDir, part), { recursive: true, force: true });
}

/** Copies folders of a node that does not run; returns a function that puts the copy in their place. */
export function copied(node: FleetNode, ...parts: readonly Part[]): () => void {
  const copy = mkdtempSync(join(tmpdir(), "cairn-old-"));
  for (const part of parts) cpSync(join(node.dataDir, part), join(copy, part), { recursive: true });
  return () => {
    lose(node, ...parts);
    for (const part of parts) cpSync(join(copy, part), join(node.dataDir, part), { recursive: true });
    rmSync(copy, { recursive: true });
  };
}

/** Exchanges a folder between two nodes that do not run. */
export function exchange(one: FleetNode, other: FleetNode, part: Part): void {
  one.harmed = true;
  other.harmed = true;
  const [here, there] = [join(one.dataDir, part), join(other.dataDir, part)];
  renameSync(here, `${here}.swap`);
  renameSync(there, here);
  renameSync(`${here}.swap`, there);
}

/** Returns the raft server id of a node. */
export function serverOf(node: FleetNode): string {
  return readFileSync(join(node.dataDir, "raft", "server"), "utf8").trim();
}

/** Returns the folders under aside/ of a node. */
export function asides(node: FleetNode): string[] {
  const folder = join(node.dataDir, "aside");
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** Returns why a node set a folder under aside/ aside, with the names of what it moved there. */
export function whyAside(node: FleetNode, name: string): string {
  const home = join(node.dataDir, "aside", name);
  const why = join(home, "why.txt");
  const reason = existsSync(why) ? readFileSync(why, "utf8").trim() : "no why.txt";
  return `${reason} (${readdirSync(home).join(", ")})`;
}

/**
 * Starts a node, and starts it again where it ends by itself, until it serves and has everything that the leader had
 * then. Returns the number of starts.
 */
export async function back(
  fleet: Fleet,
  node: FleetNode,
  changes: Parameters<FleetNode["restart"]>[0] = {},
): Promise<number> {
  let starts = 0;
  const again = async () => {
    starts += 1;
    if (starts > STARTS) throw new Error(`${node.name} ended ${STARTS} times:\n${node.process.stderr.slice(-3000)}`);
    await node.restart(changes);
  };
  await again();
  let wanted = -1;
  let seen = "";
  await eventually(
    `${node.name} to be a member again`,
    async () => {
      if (node.process.ended) await again();
      if (!node.process.events.some(({ event }) => event === "serving" || event === "ready")) return false;
      if (wanted < 0)
        wanted = seqOf((await (await fleet.leader(fleet.nodes.length > 1 ? node : undefined)).status())?.position);
      const report = await node.status();
      seen = JSON.stringify([report?.position, wanted, report?.conditions]);
      return report?.members.some(({ self }) => self) === true && seqOf(report.position) >= wanted;
    },
    { withinMs: BACK_MS, seen: () => `${seen}\n${fleet.tails(14)}` },
  );
  await node.serving();
  return starts;
}

function seqOf(position: string | undefined): number {
  return Number(position?.split("-")[1] ?? -1);
}

/** Returns a central that does not lead. */
export async function followerOf(fleet: Fleet): Promise<FleetNode> {
  const leader = await fleet.leader();
  const found = fleet.up(["central"]).find((node) => node !== leader);
  if (found === undefined) throw new Error("there is no follower");
  return found;
}

/** Transfers leadership to a voter, which may first have to catch up. */
export async function leads(fleet: Fleet, node: FleetNode): Promise<void> {
  let said = "";
  await eventually(
    `${node.name} to lead`,
    async () => {
      if (node.process.ended) throw new Error(`${node.name} ended before it led`);
      const leader = await fleet.leader();
      if (leader === node) return true;
      const { status, text } = await leader.call("fleet_transfer", { node: node.id }, 10_000);
      said = `${status} ${text}`;
      return false;
    },
    { withinMs: 40_000, seen: () => `${said}\n${fleet.tails()}` },
  );
}
