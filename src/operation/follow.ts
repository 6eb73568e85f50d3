// A read that does not end: a stream takes from it, step by step, what an operation shows of a feed. It has a cursor in
// the feed and no queue.

import { LOOK_AT_ROW } from "../lib/work.ts";
import type { Change, Cursor } from "../log/changes.ts";
import { formatPosition } from "../log/position.ts";

/** One change or event as a follower sees it. */
export interface Followed {
  /** The place from which to resume. */
  position: string;
  value: Record<string, unknown>;
  /** `value` as JSON, where it is there already. */
  text?: string;
}

/** One step of a follower. */
export interface Taken {
  items: Followed[];
  /** Whether more is there: take again after other followers had their turn. */
  more: boolean;
}

/** The place of one follower in a feed. */
export interface FollowCursor {
  /** Everything up to here was taken or was not for this follower. */
  readonly position: string;
  /** Name of its messages in a stream of server-sent events; undefined: none. */
  readonly eventName: string | undefined;
  /** Reads the first step, so that a place below the floor is refused at once. Throws Fault `below_floor`. */
  begin?(): void;
  /** Returns what is new, oldest first, at most `max`. Calls `judge` before it shows anything. */
  take(max: number, judge: () => void): Taken;
  /** Calls `listener` when there may be something new. Left out: each time `Changes.onApplied` calls. */
  onNews?(listener: () => void): () => void;
  /** Forgets what was read ahead. */
  close?(): void;
}

export interface FollowingOptions {
  cursor: FollowCursor;
  /** Throws Fault `forbidden` if the caller may no longer follow. */
  judge: () => void;
  /** Called once at the end. */
  release: () => void;
}

/** An open follower. `close` it at the end. */
export class Following {
  readonly #options: FollowingOptions;
  #closed = false;

  constructor(options: FollowingOptions) {
    this.#options = options;
    options.cursor.begin?.();
  }

  /** Everything up to this place was taken or was not for this follower. */
  get position(): string {
    return this.#options.cursor.position;
  }

  get eventName(): string | undefined {
    return this.#options.cursor.eventName;
  }

  /** Whether it follows the change feed, whose news are those of `Changes.onApplied`. */
  get isOfChanges(): boolean {
    return this.#options.cursor.onNews === undefined;
  }

  /** Calls `listener` when there may be something new; never for one of the change feed. */
  onNews(listener: () => void): () => void {
    return this.#options.cursor.onNews?.(listener) ?? (() => {});
  }

  /**
   * Returns what is new, oldest first, at most `max`. Judges the caller again each time. Throws Faults `forbidden`,
   * `below_floor`.
   */
  take(max: number): Taken {
    return this.#options.cursor.take(max, this.#options.judge);
  }

  /** Throws Fault `forbidden` if the caller may no longer follow. */
  judge(): void {
    this.#options.judge();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.cursor.close?.();
    this.#options.release();
  }
}

/** What a follower of the change feed is made of. */
export interface ChangeCursorOptions {
  cursor: Cursor;
  /** Position of the cursor: it reads what comes after. */
  position: string;
  /** Returns what the caller may see of a change under its current rights; undefined leaves the change out. */
  show: (change: Change) => Record<string, unknown> | undefined;
  /** Counts units of work (lib/work.ts) against the caller's limit. */
  spend: (units: number) => void;
}

/** Changes read in one step. */
const STEP = 512;

/** The place of a follower in the change feed. */
export class ChangeCursor implements FollowCursor {
  readonly eventName = "change";
  readonly #options: ChangeCursorOptions;
  #position: string;
  /** Changes that were read and not yet taken. */
  #ahead: Change[] = [];

  constructor(options: ChangeCursorOptions) {
    this.#options = options;
    this.#position = options.position;
  }

  get position(): string {
    return this.#position;
  }

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

  take(max: number, judge: () => void): Taken {
    const { cursor, show } = this.#options;
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
    return { items, more: step.length === STEP || cursor.isBehind() };
  }

  close(): void {
    this.#ahead = [];
  }
}
