// The answer to a call, whether it ran on this node, on another one, or came from a cache.

/** The answer to a call. */
export interface Answer {
  output: Record<string, unknown>;
  /** `<epoch>-<seq>`: the position of the change for a write, of the state that was read for a read. */
  position: string;
  /** Member id of the node that ran a call forwarded to the leader; undefined where it ran here. */
  by?: string;
  /** Set if an edge's cache was involved; its age is in place of `ageSeconds`. Without an age while none is proven. */
  cache?: { state: "hit" | "miss" | "stale" | "revalidated"; ageSeconds?: number };
  /**
   * How old the state that was read may be: from the node that read it, with what each node on the way added
   * (replication.md 28). Undefined for a write, and while nothing is proved.
   */
  ageSeconds?: number;
}

/** Returns an answer after it was under way for `ms`. What has no proved age gets none. */
export function olderBy<T extends { ageSeconds?: number }>(answer: T, ms: number): T {
  return answer.ageSeconds === undefined ? answer : { ...answer, ageSeconds: answer.ageSeconds + ms / 1000 };
}
