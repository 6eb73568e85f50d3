// The change feed (architecture.md 2): a ring of the latest changes in front of the change table. A subscriber is a
// cursor and a wake-up, never a queue. Changes of writes that are apart (`Apply.apart`) are in the table and not in the
// feed: they wake none of its followers.

import { setImmediate as nextTurn } from "node:timers/promises";
import { Fault } from "../lib/fault.ts";
import type { Reader } from "../store/store.ts";
import { type Change, type ChangeRow, changeOf } from "./change-row.ts";

export type { Change } from "./change-row.ts";

/** A place in the feed. It costs nothing while it waits. */
export interface Cursor {
  /**
   * Returns the changes after the cursor, oldest first and at most `max`, and moves the cursor. Empty when there are
   * none. Throws Fault `below_floor` when they are no longer kept.
   */
  next(max: number): Change[];
  /** Reports whether more may be there after `next` returned fewer than `max`: it reads a bounded part of the table. */
  isBehind(): boolean;
  /** Every change of the feed up to this seq was returned. */
  readonly seq: number;
  /** Resolves when `next` would return something, or when `deadline` aborts. Rejects when `signal` aborts. */
  wait(signal: AbortSignal, deadline?: AbortSignal): Promise<void>;
}

const RING_SIZE = 4096;
/** Rows of the table that one step looks at: those apart are skipped. */
const SCANNED = 16_384;
/** Listeners that are called in one turn of the event loop: each may read, filter and answer. */
const CALLED_AT_ONCE = 32;

/**
 * The change feed of one node. Engines publish, everything else reads. Its seqs may have gaps: an edge receives the
 * changes of some spaces only.
 */
export class Changes {
  readonly #reader: Reader;
  readonly #apart: readonly string[];
  readonly #ring: Change[] = [];
  readonly #listeners = new Set<() => void>();
  readonly #headListeners = new Set<() => void>();
  /** Listeners that are to be called; a batch that comes meanwhile adds no second call. */
  readonly #due = new Set<() => void>();
  #isCalling = false;
  #head: { epoch: string; seq: number };
  /** The newest change that may be of the feed. */
  #fedSeq: number;
  /** The ring has every change of the feed after this one. */
  #ringAfter: number;
  #ended = false;
  /** Counts the histories of this feed. A cursor of an earlier one is no longer valid. */
  #history = 0;

  /** `apart`: names of the writes whose changes are not in the feed. */
  constructor(reader: Reader, head: { epoch: string; seq: number }, apart: ReadonlySet<string> = new Set()) {
    this.#reader = reader;
    this.#apart = [...apart];
    this.#head = head;
    this.#fedSeq = head.seq;
    this.#ringAfter = head.seq;
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
        const { found, upTo } = this.#after(at, max);
        at = upTo;
        return found;
      },
      isBehind: () => at < this.#fedSeq,
      get seq() {
        return at;
      },
      wait: async (signal, deadline) => {
        refuseForked();
        // Steps over what is apart may be many.
        if (at < this.#fedSeq) await nextTurn();
        else await this.#waitBeyond(at, signal, deadline);
        refuseForked();
      },
    };
  }

  /**
   * Calls `listener` soon after each applied batch that has changes of the feed, once for several in a row, without
   * content. Returns the function that removes it.
   */
  onApplied(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls `listener` after each applied batch, whatever its changes are. Returns the function that removes it. */
  onHead(listener: () => void): () => void {
    this.#headListeners.add(listener);
    return () => this.#headListeners.delete(listener);
  }

  /** Resolves when the head is at `seq` or beyond, or when `deadline` aborts. Rejects when `signal` aborts. */
  async reached(seq: number, signal: AbortSignal, deadline?: AbortSignal): Promise<void> {
    const isThere = () => this.#head.seq >= seq;
    while (!isThere() && deadline?.aborted !== true)
      await this.#until(isThere, (listener) => this.onHead(listener), signal, deadline);
  }

  /** Whether `end` was called: nothing more is applied that anyone could wait for. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Ends every wait with Fault `unavailable`, now and from now on, because the node stops. */
  end(): void {
    this.#ended = true;
    this.#callAll();
  }

  /** For the engine: these changes are committed on this node. `head` is given where it is beyond the last of them. */
  publish(changes: readonly Change[], head?: { epoch: string; seq: number }): void {
    const last = changes.at(-1);
    const reached = head ?? last;
    if (reached === undefined) {
      // A command may remove rows and have no change.
      this.#callHead();
      return;
    }
    const fed =
      this.#apart.length === 0 ? changes : changes.filter(({ operation }) => !this.#apart.includes(operation));
    this.#ring.push(...fed);
    if (this.#ring.length > 2 * RING_SIZE) {
      const removed = this.#ring.splice(0, this.#ring.length - RING_SIZE);
      this.#ringAfter = removed.at(-1)?.seq ?? this.#ringAfter;
    }
    this.#head = { epoch: reached.epoch, seq: reached.seq };
    this.#callHead();
    // On an edge the head may be beyond its changes: what follows them goes on from there.
    if (fed.length === 0 && head === undefined) return;
    this.#fedSeq = head?.seq ?? fed.at(-1)?.seq ?? this.#fedSeq;
    for (const listener of this.#listeners) this.#due.add(listener);
    if (!this.#isCalling) this.#callSome();
  }

  #callHead(): void {
    for (const listener of this.#headListeners) listener();
  }

  /** Calls due listeners, the rest in later turns, so that thousands of waits hold up no answer. */
  #callSome(): void {
    let called = 0;
    try {
      for (const listener of this.#due) {
        this.#due.delete(listener);
        // One may have been removed since.
        if (this.#listeners.has(listener)) listener();
        called += 1;
        if (called === CALLED_AT_ONCE) break;
      }
    } finally {
      // Also where a listener failed: the others would never be called again.
      this.#isCalling = this.#due.size > 0;
      if (this.#isCalling) setImmediate(() => this.#callSome());
    }
  }

  /** For the engine: the store was replaced by a copy that is ahead. Followers continue from its rows. */
  restart(head: { epoch: string; seq: number }): void {
    this.#ring.length = 0;
    this.#ringAfter = head.seq;
    this.#head = head;
    this.#fedSeq = head.seq;
    this.#callAll();
  }

  /** For the engine: the store continues with another history. Followers of the earlier one get `history_forked`. */
  fork(head: { epoch: string; seq: number }): void {
    this.#history += 1;
    this.restart(head);
  }

  #callAll(): void {
    for (const listener of [...this.#headListeners, ...this.#listeners]) listener();
  }

  /** Returns the next changes of the feed, at most `max`, and the seq up to which there are no others. */
  #after(seq: number, max: number): { found: Change[]; upTo: number } {
    const end = Math.max(seq, this.#head.seq);
    if (seq >= this.#fedSeq) return { found: [], upTo: end };
    const upToOf = (found: readonly Change[], read: number) =>
      found.length < max ? read : (found.at(-1)?.seq ?? read);
    if (this.#ring.length > 0 && seq >= this.#ringAfter) {
      const start = placeAfter(this.#ring, seq);
      const found = this.#ring.slice(start, start + max);
      return { found, upTo: upToOf(found, end) };
    }
    const floor = this.#reader.get<{ floor: number }>("SELECT floor FROM head")?.floor ?? 0;
    if (seq < floor) {
      throw new Fault("below_floor", `The changes after ${seq} are no longer kept; kept are those after ${floor}`, {
        hint: "Read the contexts again, then follow from the position of that answer.",
        details: { floor },
      });
    }
    const [sql, last] = this.#apart.length === 0 ? ["", end] : [this.#notApart(), Math.min(end, seq + SCANNED)];
    const found = this.#reader
      .all<ChangeRow>(
        `SELECT * FROM changes WHERE seq > ? AND seq <= ?${sql} ORDER BY seq LIMIT +?`,
        ...[seq, last, ...this.#apart, max],
      )
      .map(changeOf);
    return { found, upTo: upToOf(found, last) };
  }

  #notApart(): string {
    return ` AND operation NOT IN (${this.#apart.map(() => "?").join(",")})`;
  }

  #waitBeyond(seq: number, signal: AbortSignal, deadline: AbortSignal | undefined): Promise<void> {
    return this.#until(
      () => seq < this.#fedSeq,
      (listener) => this.onApplied(listener),
      signal,
      deadline,
    );
  }

  /** Resolves when `isDone`, after the next call of a listener, or when `deadline` aborts. */
  async #until(
    isDone: () => boolean,
    listen: (listener: () => void) => () => void,
    signal: AbortSignal,
    deadline: AbortSignal | undefined,
  ): Promise<void> {
    if (isDone()) return;
    signal.throwIfAborted();
    if (deadline?.aborted === true) return;
    if (this.#ended) throw stopping();
    const woken = Promise.withResolvers<void>();
    const wake = () => woken.resolve();
    const applied = () => (this.#ended ? woken.reject(stopping()) : woken.resolve());
    const abort = () => woken.reject(signal.reason);
    const stop = listen(applied);
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
