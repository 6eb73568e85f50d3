// Nodes whose power is cut: their data folder (store, raft folder, state of the tailnet) is on a disk that has only what
// was synced afterwards, or that and any part of the rest.

import type { FleetNode } from "../kit/fleet.ts";
import { canLosePower, PowerDisk } from "../kit/power-disk.ts";
import { killed, serverOf } from "./folders.ts";
import type { Trial } from "./scenario.ts";

/** Says what a machine lacks for such a disk; undefined where it has it. */
export function powerNeeds(): string | undefined {
  return canLosePower() ? undefined : "needs root and /dev/fuse";
}

/** What a node is known by, which a loss of power must not change. */
interface Identity {
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
    const before = nodes.map(identity);
    const devices = (await fleet.tailnet.nodes()).length;
    const isTorn = random.chance(0.5);
    const cuts = nodes.map(async (node) => {
      const disk = this.#disks.get(node);
      if (disk === undefined) throw new Error(`${node.name} is not on a disk that can lose its power`);
      if (node.process.ended) throw new Error(`${node.name} ended before its power was cut`);
      node.process.wasEnded = true;
      const { names, files, pages } = await disk.cut(node.process.pid, isTorn ? random.between(0, 999_999) : undefined);
      return `${node.name} ${names} names, ${pages} pages of ${files} files`;
    });
    const lost = await Promise.all(cuts);
    this.#trial.say(`power cut${isTorn ? ", disks torn" : ""}; not synced were: ${lost.join("; ")}`);
    await runAgain(this.#trial, nodes);
    const after = nodes.map(identity);
    if (JSON.stringify(before) !== JSON.stringify(after) || (await fleet.tailnet.nodes()).length !== devices)
      throw new Error(`the nodes were ${JSON.stringify(before)} and are ${JSON.stringify(after)}`);
  }
}

function identity(node: FleetNode): Identity {
  return { device: node.id, server: node.role === "edge" ? undefined : serverOf(node) };
}

async function runAgain({ fleet }: Trial, nodes: readonly FleetNode[]): Promise<void> {
  await Promise.all(nodes.map((node) => node.restart()));
  await Promise.all(nodes.map((node) => node.serving()));
  await fleet.voters(3);
}
