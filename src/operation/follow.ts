// A read without an end: what an operation shows of the change feed, taken in steps by whoever holds a stream. A place in the feed and a judgement, never a queue.

import type { Change, Cursor } from "../log/changes.ts";
import { formatPosition } from "../log/position.ts";

/** One change as the follower is shown it. */
export interface Followed {
  /** `<epoch>-<seq>`: to go on behind it. */
  position: string;
  value: Record<string, unknown>;
}

/** One step of a follower. */
export interface Taken {
  items: Followed[];
  /** Whether more was there than was looked at: take again, after others had their turn. */
  more: boolean;
}

export interface FollowingOptions {
  cursor: Cursor;
  /** Position behind which the cursor stands. */
  position: string;
  /** What the caller is shown of a change under its rights of this moment; undefined leaves it out. */
  show: (change: Change) => Record<string, unknown> | undefined;
  /** Throws Fault `forbidden` when the caller may no longer follow. */
  judge: () => void;
  /** Called once at the end. */
  release: () => void;
}

/** Changes looked at in one step. */
const STEP = 512;

/** An open follower; `close` it. */
export class Following {
  readonly #options: FollowingOptions;
  #position: string;
  #closed = false;
  /** What was read to see that it is still there, before the first `take`. */
  #ahead: Change[] = [];

  constructor(options: FollowingOptions) {
    this.#options = options;
    this.#position = options.position;
  }

  /** Everything up to here was shown or was not for this follower. */
  get position(): string {
    return this.#position;
  }

  /** Reads the first step ahead, so that a position that is gone is refused at once. Fault `below_floor`. */
  begin(): void {
    this.#ahead = this.#options.cursor.next(STEP);
  }

  /** What is new, oldest first, at most `max`; the caller is judged anew each time. Faults: `forbidden`, `below_floor`. */
  take(max: number): Taken {
    const { cursor, show, judge } = this.#options;
    const items: Followed[] = [];
    const step = this.#ahead.length > 0 ? this.#ahead : cursor.next(STEP);
    if (step.length > 0) judge();
    for (const [index, change] of step.entries()) {
      if (items.length === max) {
        this.#ahead = step.slice(index);
        return { items, more: true };
      }
      const value = show(change);
      this.#position = formatPosition(change);
      if (value !== undefined) items.push({ position: this.#position, value });
    }
    this.#ahead = [];
    return { items, more: step.length === STEP };
  }

  /** Whether the caller may still follow; throws Fault `forbidden` when not. */
  judge(): void {
    this.#options.judge();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ahead = [];
    this.#options.release();
  }
}
