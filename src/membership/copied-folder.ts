// Detects that the data folder belongs to another device: it was copied, or this device lost its tailnet identity. Two
// nodes with one raft server id would damage the fleet, so the node stops.

import type { FleetFile, Member } from "../fleet/index.ts";
import type { Fault } from "../lib/fault.ts";
import type { Peer } from "../tailnet/index.ts";
import { copiedDataFault, lostIdentityFault } from "./exit-faults.ts";
import type { OwnNode } from "./own-node.ts";

export interface CopiedFolderCheckOptions {
  dataDir: string;
  /** fleet.json as it was at the start; undefined where this node was no member. */
  file: FleetFile | undefined;
  node: OwnNode;
  peers: () => Promise<readonly Peer[]>;
  onFatal: (fault: Fault) => void;
}

/** Checks whose data this node has. Stops the node at most once. */
export class CopiedFolderCheck {
  readonly #options: CopiedFolderCheckOptions;
  #stopping = false;

  constructor(options: CopiedFolderCheckOptions) {
    this.#options = options;
  }

  /**
   * Compares this device with that of fleet.json, which exists before the members table does. Returns true if the node
   * has to stop.
   */
  check(): boolean {
    const { file, node } = this.#options;
    if (file === undefined || node.id() === "" || file.node === node.id()) return false;
    // The only member that holds the store is the fleet, whatever device it runs on.
    if (file.members.filter(({ server }) => server !== "").length < 2) return false;
    const owner = file.members.find((member) => member.node === file.node);
    void this.stop({ node: file.node, name: owner?.name ?? "another member" });
    return true;
  }

  /** Stops the node because the data belong to `owner`. */
  async stop(owner: Pick<Member, "name" | "node">): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    const { dataDir, peers, onFatal } = this.#options;
    const visible = await peers().catch(() => []);
    // This may be the only copy: it is given up only if the owner is visible on the tailnet.
    const isCopy = visible.some(({ id }) => id === owner.node);
    onFatal(isCopy ? copiedDataFault(dataDir, owner) : lostIdentityFault(dataDir, owner));
  }
}
