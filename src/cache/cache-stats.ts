// Counters of an edge's cache, for metrics, node_status and the page.

export interface CacheCounts {
  hits: number;
  misses: number;
  stale: number;
  revalidated: number;
  evictions: number;
}

/** How an answer was made, as in the header `Cairn-Cache`. */
export type CacheState = "hit" | "miss" | "stale" | "revalidated";

/** Counters of one run of a node. They only grow. */
export class CacheStats {
  readonly counts: CacheCounts = { hits: 0, misses: 0, stale: 0, revalidated: 0, evictions: 0 };

  countAnswer(state: CacheState): void {
    if (state === "hit") this.counts.hits += 1;
    else if (state === "miss") this.counts.misses += 1;
    else this.counts[state] += 1;
  }

  countEviction(): void {
    this.counts.evictions += 1;
  }
}
