// What a node makes of members that say it is none of them: a condition, and a mark beside its data, so that a start which is to join a fleet joins anew instead of going on. Nothing is set aside here.

import { type Member, readFleetFile, writeFleetFile } from "../fleet/index.ts";
import type { Conditions } from "../observe/conditions.ts";

/** A member must say so this often without a break. */
const REFUSALS = 3;
/** Another full member that took this node for one within this time is believed instead, in ms: a newcomer without a table refuses everybody. */
const CONTRADICTED_MS = 5_000;

export interface RemovalWatchOptions {
  /** Where fleet.json is. */
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

  /** Whether this node is no member any more, as far as it was told. */
  get removed(): boolean {
    return this.#options.conditions.has("removed_from_fleet");
  }

  /** A member answered that this node is none. */
  refusedBy(by: Member): void {
    const { conditions, monotonicMs } = this.#options;
    const count = (this.#refusals.get(by.node) ?? 0) + 1;
    this.#refusals.set(by.node, count);
    if (count < REFUSALS || monotonicMs() - this.#acceptedMs < CONTRADICTED_MS) return;
    conditions.raise("removed_from_fleet", `${by.name} says that this node is no member of the fleet`);
    this.#mark(true);
  }

  /** A full member beat with this node, so it takes it for a member. */
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
