// Cuts and slow links between the nodes of a fleet, and their removal. The fleet's `link` handles one direction; the
// shapes that scenarios use are here.

import type { Fleet, FleetNode } from "../kit/fleet.ts";
import type { TailnetLink } from "../kit/tailnet.ts";

/** Sets the same link in every direction between different nodes of the list. */
export async function linkAll(fleet: Fleet, nodes: readonly FleetNode[], link: TailnetLink = {}): Promise<void> {
  for (const from of nodes) for (const to of nodes) if (from !== to) await fleet.link(from, to, link);
}

/** Cuts both directions between each node of one side and each of the other. */
export async function split(fleet: Fleet, one: readonly FleetNode[], other: readonly FleetNode[]): Promise<void> {
  for (const from of one)
    for (const to of other) {
      await fleet.link(from, to, { cut: true });
      await fleet.link(to, from, { cut: true });
    }
}

/** Restores all links. */
export async function heal(fleet: Fleet): Promise<void> {
  await fleet.tailnet.link("*", "*");
}
