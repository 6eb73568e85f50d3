// The answer to a call, whether it ran on this node, on another one, or came from a cache.

/** The answer to a call. */
export interface Answer {
  output: Record<string, unknown>;
  /** `<epoch>-<seq>`: the position of the change for a write, of the state that was read for a read. */
  position: string;
  /** Member id of the node that ran a call forwarded to the leader; undefined where it ran here. */
  by?: string;
  /** Set if an edge's cache was involved. Without an age while none is proven. */
  cache?: { state: "hit" | "miss" | "stale" | "revalidated"; ageSeconds?: number };
  /** Set if a replica answered from its own store: how old that state may be. */
  ageSeconds?: number;
}
