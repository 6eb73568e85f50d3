// Follows the change feed for what has to do with declarations: the contexts below their places, and judgements.

import type { Change, Changes, Cursor } from "../../log/changes.ts";

/** Changes that are looked at in one step. */
const STEP = 512;
/** Ids of one call of `take`; for more of them all are looked at. */
const MAX_TOUCHED = 4096;

/** A place in the change feed that tells which ids were touched. */
export class Touched {
  readonly #changes: Changes;
  readonly #idOf: (change: Change) => string | undefined;
  #cursor: Cursor;

  /** `idOf` returns the id that a change touches; undefined: none that is followed. */
  constructor(changes: Changes, idOf: (change: Change) => string | undefined) {
    this.#changes = changes;
    this.#idOf = idOf;
    this.#cursor = changes.cursor();
  }

  /** Resolves when there may be more. Rejects when the signal aborts, and where the feed became another one. */
  wait(signal: AbortSignal): Promise<void> {
    return this.#cursor.wait(signal);
  }

  /** Returns the ids since the last call; "all" where the feed cannot say. */
  take(): ReadonlySet<string> | "all" {
    const ids = new Set<string>();
    try {
      while (this.#cursor.isBehind()) {
        for (const change of this.#cursor.next(STEP)) {
          const id = this.#idOf(change);
          if (id !== undefined) ids.add(id);
        }
        if (ids.size > MAX_TOUCHED) return this.#all();
      }
      return ids;
    } catch {
      // Below the floor, or another history: what was missed is not known.
      return this.#all();
    }
  }

  #all(): "all" {
    this.#cursor = this.#changes.cursor();
    return "all";
  }
}
