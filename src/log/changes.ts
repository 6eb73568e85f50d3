// The change feed (architecture.md 2): a ring of the latest changes in front of the change table. A subscriber is a
// cursor and a wake-up, never a queue.

import { Fault } from "../lib/fault.ts";
import type { Reader } from "../store/store.ts";

/** One change, as the rest of the product sees it: a row of the change table. */
export interface Change {
  seq: number;
  epoch: string;
  /** Log time in ms. */
  timeMs: number;
  caller: string;
  via: string;
  /** What the client of the caller said of itself, a claim; left out: nothing. */
  client?: string | undefined;
  /** Name of the agent as which the caller acted; left out: the caller itself. */
  agent?: string | undefined;
  operation: string;
  /** Id of what changed; for contexts the context id. */
  target: string;
  version: number;
  /** Hex SHA-256 of the content bytes, or "" where there is none. */
  contentHash: string;
  /** The kind of change, such as `created`, `updated`, `deleted`. */
  outcome: string;
}

/** A place in the feed. It costs nothing while it waits. */
export interface Cursor {
  /**
   * Returns the changes after the cursor, oldest first and at most `max`, and moves the cursor. Empty when there are
   * none. Throws Fault `below_floor` when they are no longer kept.
   */
  next(max: number): Change[];
  /** Resolves when `next` would return something, or when `deadline` aborts. Rejects when `signal` aborts. */
  wait(signal: AbortSignal, deadline?: AbortSignal): Promise<void>;
}

/** A row of the table `changes`, without its hash. */
export interface ChangeRow {
  seq: number;
  epoch: string;
  log_time: number;
  caller: string;
  via: string;
  operation: string;
  target: string;
  version: number;
  content_hash: string;
  outcome: string;
  /** Hash of what else the change made; "" for changes below its fleet level. Missing in stores below that level. */
  state_hash?: string;
  /** "" for changes below its fleet level. Missing in stores below that level. */
  client?: string;
  /** As `client`: "" for changes without an agent. */
  agent?: string;
}

const RING_SIZE = 4096;

/**
 * The change feed of one node. Engines publish, everything else reads. Its seqs may have gaps: an edge receives the
 * changes of some spaces only.
 */
export class Changes {
  readonly #reader: Reader;
  readonly #ring: Change[] = [];
  readonly #listeners = new Set<() => void>();
  #head: { epoch: string; seq: number };
  #ended = false;
  /** Counts the histories of this feed. A cursor of an earlier one is no longer valid. */
  #history = 0;

  constructor(reader: Reader, head: { epoch: string; seq: number }) {
    this.#reader = reader;
    this.#head = head;
  }

  /** Returns the position of the newest change. */
  head(): { epoch: string; seq: number } {
    return this.#head;
  }

  /** Returns a cursor after `afterSeq`, or after the newest change where that is left out. */
  cursor(afterSeq: number = this.#head.seq): Cursor {
    let at = afterSeq;
    const history = this.#history;
    const refuseForked = (): void => {
      if (history !== this.#history) throw forked(at);
    };
    return {
      next: (max) => {
        refuseForked();
        const found = this.#after(at, max);
        // Nothing is left to read; the head may be beyond the newest change that is kept here.
        at = found.length < max ? Math.max(at, this.#head.seq) : (found.at(-1)?.seq ?? at);
        return found;
      },
      wait: async (signal, deadline) => {
        refuseForked();
        await this.#waitBeyond(at, signal, deadline);
        refuseForked();
      },
    };
  }

  /** Calls `listener` once after each applied batch, without content. Returns the function that removes it. */
  onApplied(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends every wait with Fault `unavailable`, now and from now on, because the node stops. */
  end(): void {
    this.#ended = true;
    for (const listener of [...this.#listeners]) listener();
  }

  /** For the engine: these changes are committed on this node. `head` is given where it is beyond the last of them. */
  publish(changes: readonly Change[], head?: { epoch: string; seq: number }): void {
    const last = changes.at(-1);
    const reached = head ?? last;
    if (reached === undefined) return;
    this.#ring.push(...changes);
    if (this.#ring.length > 2 * RING_SIZE) this.#ring.splice(0, this.#ring.length - RING_SIZE);
    this.#head = { epoch: reached.epoch, seq: reached.seq };
    for (const listener of [...this.#listeners]) listener();
  }

  /** For the engine: the store was replaced by a copy that is ahead. Followers continue from its rows. */
  restart(head: { epoch: string; seq: number }): void {
    this.#ring.length = 0;
    this.#head = head;
    for (const listener of [...this.#listeners]) listener();
  }

  /** For the engine: the store continues with another history. Followers of the earlier one get `history_forked`. */
  fork(head: { epoch: string; seq: number }): void {
    this.#history += 1;
    this.restart(head);
  }

  #after(seq: number, max: number): Change[] {
    if (seq >= this.#head.seq) return [];
    const first = this.#ring[0];
    if (first !== undefined && first.seq <= seq + 1) {
      const start = placeAfter(this.#ring, seq);
      return this.#ring.slice(start, start + max);
    }
    const floor = this.#reader.get<{ floor: number }>("SELECT floor FROM head")?.floor ?? 0;
    if (seq < floor) {
      throw new Fault("below_floor", `The changes after ${seq} are no longer kept; kept are those after ${floor}`, {
        hint: "Read the contexts again, then follow from the position of that answer.",
        details: { floor },
      });
    }
    return this.#reader
      .all<ChangeRow>("SELECT * FROM changes WHERE seq > ? ORDER BY seq LIMIT ?", seq, max)
      .map(changeOf);
  }

  async #waitBeyond(seq: number, signal: AbortSignal, deadline: AbortSignal | undefined): Promise<void> {
    if (seq < this.#head.seq) return;
    signal.throwIfAborted();
    if (deadline?.aborted === true) return;
    if (this.#ended) throw stopping();
    const woken = Promise.withResolvers<void>();
    const wake = () => woken.resolve();
    const applied = () => (this.#ended ? woken.reject(stopping()) : woken.resolve());
    const abort = () => woken.reject(signal.reason);
    const stop = this.onApplied(applied);
    signal.addEventListener("abort", abort, { once: true });
    deadline?.addEventListener("abort", wake, { once: true });
    try {
      await woken.promise;
    } finally {
      stop();
      signal.removeEventListener("abort", abort);
      deadline?.removeEventListener("abort", wake);
    }
  }
}

/** Returns the index of the first change after `seq`: computed where the seqs have no gaps, else by binary search. */
function placeAfter(ring: readonly Change[], seq: number): number {
  const counted = seq + 1 - (ring[0]?.seq ?? 0);
  if (ring[counted]?.seq === seq + 1) return counted;
  let low = 0;
  let high = ring.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ring[middle]?.seq ?? 0) > seq) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Reports whether what a change made had another state than this one. A change without a state hash does not say. */
export function madeOther({ state_hash = "" }: ChangeRow, state: string): boolean {
  return state_hash !== "" && state_hash !== state;
}

/** Returns a row of the change table as a change. */
export function changeOf(row: ChangeRow): Change {
  return {
    seq: row.seq,
    epoch: row.epoch,
    timeMs: row.log_time,
    caller: row.caller,
    via: row.via,
    ...(row.client ? { client: row.client } : {}),
    ...(row.agent ? { agent: row.agent } : {}),
    operation: row.operation,
    target: row.target,
    version: row.version,
    contentHash: row.content_hash,
    outcome: row.outcome,
  };
}

function forked(seq: number): Fault {
  return new Fault(
    "history_forked",
    `The change ${seq} is of another history than the one that this node follows now`,
    {
      hint: "Read the contexts again, then follow from the position of that answer.",
    },
  );
}

function stopping(): Fault {
  return new Fault("unavailable", "This node is stopping", { hint: "Go on from your last position on another node." });
}
