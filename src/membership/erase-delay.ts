// When a member may erase what a purge removed from its raft log. A member that still needs the entries would have to
// get a copy of the whole store, so an erasure waits for those that respond, but not for long.

import type { Beats, Members } from "../fleet/index.ts";

/** A member that responds and is behind delays an erasure for this long; then it will need a copy of the store. */
const ERASE_ANYWAY_MS = 60_000;

export interface EraseDelayOptions {
  members: Pick<Members, "list">;
  /** Member id of this node. */
  self: () => string;
  beats: Pick<Beats, "isAway" | "received">;
  monotonicMs: () => number;
}

/** Delays the erasures of one member. */
export class EraseDelay {
  readonly #options: EraseDelayOptions;
  /** The erasure that waits, and since when. */
  #waiting = { index: 0, sinceMs: 0 };

  constructor(options: EraseDelayOptions) {
    this.#options = options;
  }

  /** Reports whether entries up to an index may be erased now. */
  isOver(index: number): boolean {
    const { members, self, beats, monotonicMs } = this.#options;
    const nowMs = monotonicMs();
    if (this.#waiting.index !== index) this.#waiting = { index, sinceMs: nowMs };
    if (nowMs - this.#waiting.sinceMs > ERASE_ANYWAY_MS) return true;
    const others = members.list().filter(({ server, node }) => server !== "" && node !== self());
    return others.every(({ node }) => beats.isAway(node) || (beats.received(node)?.beat.applied ?? 0) >= index);
  }
}
