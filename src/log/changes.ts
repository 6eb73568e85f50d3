// The change feed (design 2): a ring of the last changes over the change table. A subscriber is a cursor and a wake-up, never a queue.
export interface Change {
  seq: number;
  epoch: string;
  timeMs: number;
  caller: string;
  via: string;
  operation: string;
  /** Id of what changed, for contexts the context id. */
  target: string;
  version: number;
  contentHash: string;
  /** What happened, such as `created`, `updated`, `deleted`. */
  outcome: string;
}
export interface Cursor {
  /** Changes after the cursor, oldest first, at most `max`; moves the cursor. Empty when there is nothing new. Throws Fault `below_floor` when they are gone. */
  next(max: number): Change[];
  /** Resolves when `next` would answer something; rejects when the signal aborts. */
  wait(signal: AbortSignal): Promise<void>;
}
export interface Changes {
  /** Position of the newest change. */
  head(): { epoch: string; seq: number };
  /** A cursor behind `seq`; without it, behind the newest change. */
  cursor(afterSeq?: number): Cursor;
  /** Calls `listener` once after each applied batch (a wake-up without content); answers the function that ends it. */
  onApplied(listener: () => void): () => void;
}
