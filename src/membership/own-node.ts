// This node, and the names of all devices, as the tailnet reports them.

import { shownNames } from "../fleet/index.ts";
import type { Peer, Status } from "../tailnet/index.ts";

/** Id, name and tags of this node. Each call returns what the tailnet reported last. */
export class OwnNode {
  readonly #status: () => Status | undefined;
  readonly #hostname: string;

  /** `hostname` is the name until the tailnet has given one. */
  constructor(status: () => Status | undefined, hostname: string) {
    this.#status = status;
    this.#hostname = hostname;
  }

  /** Returns the StableNodeID; "" while it is not known. */
  id(): string {
    return this.#status()?.self?.id ?? "";
  }

  /** Returns the first label of the MagicDNS name, or the hostname. */
  name(): string {
    return (this.#status()?.self?.dnsName ?? "").split(".")[0] || this.#hostname;
  }

  tags(): readonly string[] {
    return this.#status()?.self?.tags ?? [];
  }
}

/**
 * Returns the first labels of the MagicDNS names of this device and its peers, by StableNodeID; none without a tailnet.
 */
export async function deviceNames(
  own: OwnNode,
  peers: () => Promise<readonly Peer[]>,
): Promise<ReadonlyMap<string, string>> {
  return shownNames({ id: own.id(), name: own.name() }, await peers().catch(() => []));
}
