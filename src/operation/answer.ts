// What every call answers, wherever it was carried out: shared by the ways that answer here, elsewhere in the fleet and from a cache.

/** What a call answers. */
export interface Answer {
  output: Record<string, unknown>;
  /** `<epoch>-<seq>`: of the change for a write, of what was read for a read. */
  position: string;
  /** Where an edge's cache had a part in it; without an age while nobody has proved one. */
  cache?: { state: "hit" | "miss" | "stale" | "revalidated"; ageSeconds?: number };
  /** How old it may be, where it is a replica's own. */
  ageSeconds?: number;
}
