// Takes purged texts off the disk of an edge. What the feed reports is removed with its change; what was cached before
// changes that this edge missed goes too, once it knows of a purge. Then the files are erased.

import { erasePurged } from "../log/erase-purged.ts";
import { writeMeta } from "../log/meta.ts";
import { type PurgeState, purgeState } from "../log/purge-state.ts";
import type { Store, Writer } from "../store/store.ts";
import type { DiskStep } from "./entries.ts";

export interface EdgeErasureOptions {
  store: Store;
  /** Returns the seq up to which this edge follows its fleet. */
  seq: () => number;
  /** Removes entries that missed changes and are older than a seq. */
  dropUncertain: (before: number) => DiskStep;
  onError: (error: unknown) => void;
}

export class EdgeErasure {
  readonly #options: EdgeErasureOptions;
  #isRunning = false;
  #lastReason = "";

  constructor(options: EdgeErasureOptions) {
    this.#options = options;
  }

  state(): PurgeState {
    return purgeState(this.#options.store.reader);
  }

  /** Notes the newest purge of the fleet as a member reports it: it may lie among changes that this edge missed. */
  note(purged: number): void {
    const { store, seq, dropUncertain } = this.#options;
    if (purged > this.state().purged && seq() >= purged) {
      const drop = dropUncertain(purged);
      store.transaction((tx) => {
        drop(tx);
        writeMeta(tx, { purged_seq: purged });
      });
    }
    void this.#erase();
  }

  /** Removes everything about purges: their seqs belong to another history. */
  reset(tx: Writer): void {
    writeMeta(tx, { purged_seq: 0, erased_seq: 0 });
  }

  async #erase(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    const reason = await erasePurged(this.#options.store);
    this.#isRunning = false;
    if (reason !== this.#lastReason && reason !== "") this.#options.onError(reason);
    this.#lastReason = reason;
  }
}
