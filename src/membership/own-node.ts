// This node as its tailnet reports it.

import type { Status } from "../tailnet/index.ts";

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
