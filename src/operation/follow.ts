// A read that does not end: a stream takes from it, step by step, what an operation shows of the change feed. It has a
// cursor in the feed and no queue.

import { LOOK_AT_ROW } from "../lib/work.ts";
import type { Change, Cursor } from "../log/changes.ts";
import { formatPosition } from "../log/position.ts";

/** One change as a follower sees it. */
export interface Followed {
  /** `<epoch>-<seq>`, from which to resume. */
  position: string;
  value: Record<string, unknown>;
}

/** One step of a follower. */
export interface Taken {
  items: Followed[];
  /** Whether more changes are there: take again after other followers had their turn. */
  more: boolean;
}

export interface FollowingOptions {
  cursor: Cursor;
  /** Position of the cursor: it reads what comes after. */
  position: string;
  /** Returns what the caller may see of a change under its current rights; undefined leaves the change out. */
  show: (change: Change) => Record<string, unknown> | undefined;
  /** Throws Fault `forbidden` if the caller may no longer follow. */
  judge: () => void;
  /** Counts units of work (lib/work.ts) against the caller's limit. */
  spend: (units: number) => void;
  /** Called once at the end. */
  release: () => void;
}

/** Changes read in one step. */
const STEP = 512;

/** An open follower. `close` it at the end. */
export class Following {
  readonly #options: FollowingOptions;
  #position: string;
  #closed = false;
  /** Changes that were read and not yet taken. */
  #ahead: Change[] = [];

  constructor(options: FollowingOptions) {
    this.#options = options;
    this.#position = options.position;
  }

  /** Every change up to this position was taken or was not for this follower. */
  get position(): string {
    return this.#position;
  }

  /** Reads the first step, so that a position below the floor is refused at once. Throws Fault `below_floor`. */
  begin(): void {
    this.#ahead = this.#next();
  }

  /**
   * Reads the next step. What lies behind is read because the caller asked for it, and counts; what comes while it
   * follows is not its doing.
   */
  #next(): Change[] {
    const { cursor, spend } = this.#options;
    const step = cursor.next(STEP);
    if (step.length === STEP) spend(LOOK_AT_ROW * STEP);
    return step;
  }

  /**
   * Returns new changes, oldest first, at most `max`. Judges the caller again each time. Throws Faults `forbidden`,
   * `below_floor`.
   */
  take(max: number): Taken {
    const { show, judge } = this.#options;
    const items: Followed[] = [];
    const step = this.#ahead.length > 0 ? this.#ahead : this.#next();
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

  /** Throws Fault `forbidden` if the caller may no longer follow. */
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
