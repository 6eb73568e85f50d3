// Detects that the fleet removed this node. Raises `removed_from_fleet` and marks fleet.json; the next start with
// `--join` then rejoins instead of resuming. Moves no data.

import { type Member, readFleetFile, writeFleetFile } from "../fleet/index.ts";
import { Fault } from "../lib/fault.ts";
import { CONDITIONS, type Conditions } from "../observe/conditions.ts";

/** How often one member must say it, without a beat in between. */
const REFUSALS = 3;
/** How long a beat of another full member outweighs it, in ms: a newcomer without a members table refuses everybody. */
const CONTRADICTED_MS = 5_000;

export interface RemovalWatchOptions {
  /** The folder of fleet.json. */
  folder: string;
  conditions: Conditions;
  monotonicMs: () => number;
}

export class RemovalWatch {
  readonly #options: RemovalWatchOptions;
  readonly #refusals = new Map<string, number>();
  #acceptedMs = Number.NEGATIVE_INFINITY;

  constructor(options: RemovalWatchOptions) {
    this.#options = options;
  }

  /** Reports whether this node was removed, as far as it knows. */
  get removed(): boolean {
    return this.#options.conditions.has("removed_from_fleet");
  }

  /** A member answered that this node is not a member. The first valid one is named, and no other after it. */
  refusedBy(by: Member): void {
    const { conditions, monotonicMs } = this.#options;
    if (this.removed) return;
    const count = (this.#refusals.get(by.node) ?? 0) + 1;
    this.#refusals.set(by.node, count);
    if (count < REFUSALS || monotonicMs() - this.#acceptedMs < CONTRADICTED_MS) return;
    conditions.raise("removed_from_fleet", `${by.name} says that this node is no member of the fleet`);
    conditions.clear("upstream_away");
    this.#mark(true);
  }

  /** A full member exchanged a beat with this node, so this node is a member. */
  acceptedBy(by: Member): void {
    if (by.role === "edge") return;
    this.#acceptedMs = this.#options.monotonicMs();
    this.#refusals.delete(by.node);
    if (!this.removed) return;
    this.#options.conditions.clear("removed_from_fleet");
    this.#mark(false);
  }

  #mark(removed: boolean): void {
    const { folder } = this.#options;
    const file = readFleetFile(folder);
    if (file !== undefined && (file.removed === true) !== removed) writeFleetFile(folder, { ...file, removed });
  }
}

/** Returns the Fault of a call to a removed node that has discarded what it held. */
export function removedFault(): Fault {
  return new Fault("not_a_member", "This node was removed from its fleet and serves no contexts; nothing was written", {
    hint: CONDITIONS.removed_from_fleet.hint,
    facts: { outcome: "not_done" },
  });
}
