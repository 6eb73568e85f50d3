// The order that everything is compared with: the changes that a full member kept, indexed by seq and by context. Also
// decides which positions a recovery left behind.

import type { Epoch, Place, Run, SeenChange } from "./history.ts";

export class Reference {
  /** Changes in seq order. */
  readonly changes: readonly SeenChange[];
  /** Changes up to here are not known. */
  readonly floor: number;
  readonly #bySeq = new Map<number, SeenChange>();
  readonly #byKey = new Map<string, SeenChange[]>();
  readonly #byVersion = new Map<string, SeenChange>();
  readonly #limits: Map<string, number>;
  #sorted: readonly string[] | undefined;

  constructor(run: Run) {
    const best = [...run.ends].sort((one, other) => one.floor - other.floor || other.seq - one.seq)[0];
    this.changes = [...(best?.changes ?? [])].sort((one, other) => one.seq - other.seq);
    this.floor = best?.floor ?? 0;
    for (const change of this.changes) {
      this.#bySeq.set(change.seq, change);
      const named = `${change.key} ${change.version}`;
      if (!this.#byVersion.has(named)) this.#byVersion.set(named, change);
      const known = this.#byKey.get(change.key);
      if (known === undefined) this.#byKey.set(change.key, [change]);
      else known.push(change);
    }
    this.#limits = limitsOf(run.epochs);
  }

  at(seq: number): SeenChange | undefined {
    return this.#bySeq.get(seq);
  }

  /** Returns the changes of one context, in seq order. */
  of(key: string): readonly SeenChange[] {
    return this.#byKey.get(key) ?? [];
  }

  /** Returns the change that made this version. */
  version(key: string, version: number): SeenChange | undefined {
    return this.#byVersion.get(`${key} ${version}`);
  }

  /** Returns the newest change of a context at this seq. */
  newest(key: string, seq: number): SeenChange | undefined {
    return this.of(key)[this.countUpTo(key, seq) - 1];
  }

  /** Returns how many changes of a context have this seq or an earlier one. */
  countUpTo(key: string, seq: number): number {
    const known = this.of(key);
    let low = 0;
    let high = known.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((known[middle]?.seq ?? 0) <= seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Returns the ids that start with a prefix, in the order of lists. */
  keys(prefix: string): readonly string[] {
    this.#sorted ??= [...this.#byKey.keys()].sort();
    return this.#sorted.filter((key) => key.startsWith(prefix));
  }

  /** Reports whether a recovery left this position behind, or its history does not belong to this fleet. */
  isLost(place: Place): boolean {
    return place.seq > (this.#limits.get(place.epoch) ?? -1);
  }
}

/** Returns up to which seq each history is part of the last one. */
function limitsOf(epochs: readonly Epoch[]): Map<string, number> {
  const limits = new Map<string, number>();
  let limit = Number.POSITIVE_INFINITY;
  for (const { id, forkSeq } of epochs.toReversed()) {
    limits.set(id, limit);
    limit = Math.min(limit, forkSeq);
  }
  return limits;
}
