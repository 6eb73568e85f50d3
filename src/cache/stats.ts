// What the cache of an edge counts: one object, read by metrics, node_status and the page.

export interface CacheCounts {
  hits: number;
  misses: number;
  stale: number;
  revalidated: number;
  evictions: number;
}

/** How an answer came to be, as `Cairn-Cache` says it. */
export type CacheState = "hit" | "miss" | "stale" | "revalidated";

/** Counters of one run of a node; they only grow. */
export class CacheStats {
  readonly counts: CacheCounts = { hits: 0, misses: 0, stale: 0, revalidated: 0, evictions: 0 };

  answered(state: CacheState): void {
    if (state === "hit") this.counts.hits += 1;
    else if (state === "miss") this.counts.misses += 1;
    else this.counts[state] += 1;
  }

  evicted(): void {
    this.counts.evictions += 1;
  }
}
