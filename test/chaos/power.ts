// Nodes whose power is cut: their data folder (store, raft folder, state of the tailnet) is on a disk that has what was
// synced afterwards, and of the rest nothing or any part.

import type { FleetNode } from "../kit/fleet.ts";
import { canLosePower, PowerDisk } from "../kit/power-disk.ts";
import { killed, serverOf } from "./folders.ts";
import type { Random } from "./random.ts";
import type { Trial } from "./scenario.ts";

/** Says what a machine lacks for such a disk; undefined where it has it. */
export function powerNeeds(): string | undefined {
  return canLosePower() ? undefined : "needs root and /dev/fuse";
}

/** What a node is known by, which a loss of power must not change. */
export interface Identity {
  device: string;
  server: string | undefined;
}

/** Nodes on such disks. */
export class PoweredNodes {
  readonly #trial: Trial;
  readonly #disks = new Map<FleetNode, PowerDisk>();

  private constructor(trial: Trial) {
    this.#trial = trial;
  }

  /**
   * Moves the data of nodes to such disks, for which each is killed and started again, runs `during`, and moves them
   * back.
   */
  static async during(
    trial: Trial,
    nodes: readonly FleetNode[],
    during: (powered: PoweredNodes) => Promise<void>,
  ): Promise<void> {
    const powered = new PoweredNodes(trial);
    const disks = powered.#disks;
    try {
      await Promise.all(nodes.map(killed));
      for (const node of nodes) disks.set(node, await PowerDisk.under(node.dataDir));
      await runAgain(trial, nodes);
      trial.say(`${nodes.map(({ name }) => name).join(", ")}: on a disk that can lose its power`);
      await during(powered);
      await Promise.all(nodes.map(killed));
      for (const [node, disk] of disks) {
        await disk.remove();
        disks.delete(node);
      }
      await runAgain(trial, nodes);
    } finally {
      await Promise.all([...disks.values()].map((disk) => disk[Symbol.asyncDispose]()));
    }
  }

  /** Cuts the power of nodes at one moment, and starts them again. Each must come back as what it was. */
  async cut(nodes: readonly FleetNode[]): Promise<void> {
    const { fleet, random } = this.#trial;
    const before = nodes.map(identityOf);
    const devices = (await fleet.tailnet.nodes()).length;
    const seed = tornSeed(random);
    const cuts = nodes.map((node) => {
      const disk = this.#disks.get(node);
      if (disk === undefined) throw new Error(`${node.name} is not on a disk that can lose its power`);
      return cutPower(node, disk, seed);
    });
    this.#trial.say((await Promise.all(cuts)).join("; "));
    await runAgain(this.#trial, nodes);
    const after = nodes.map(identityOf);
    if (JSON.stringify(before) !== JSON.stringify(after) || (await fleet.tailnet.nodes()).length !== devices)
      throw new Error(`the nodes were ${JSON.stringify(before)} and are ${JSON.stringify(after)}`);
  }
}

/** Cuts the power of one node, whose process is killed with it. Returns what was not synced, as text. */
export async function cutPower(node: FleetNode, disk: PowerDisk, seed?: number): Promise<string> {
  if (node.process.ended) throw new Error(`${node.name} ended before its power was cut`);
  node.process.wasEnded = true;
  const { names, pages, files } = await disk.cut(node.process.pid, seed);
  return `${node.name} had ${names} names and ${pages} pages of ${files} files not synced${seed === undefined ? "" : ", some are there"}`;
}

/** In half of the cuts the disks were writing. */
export function tornSeed(random: Random): number | undefined {
  return random.chance(0.5) ? random.between(0, 999_999) : undefined;
}

export function identityOf(node: FleetNode): Identity {
  return { device: node.id, server: node.role === "edge" ? undefined : serverOf(node) };
}

async function runAgain({ fleet }: Trial, nodes: readonly FleetNode[]): Promise<void> {
  await Promise.all(nodes.map((node) => node.restart()));
  await Promise.all(nodes.map((node) => node.serving()));
  await fleet.voters(3);
}
