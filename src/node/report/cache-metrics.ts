// Metrics of an edge's cache: the same numbers as in node_status.

import type { CacheReport } from "../../fleet/index.ts";
import type { Metrics } from "../../observe/metrics.ts";

/** Registers them; they have no values on a node without a cache. */
export function cacheMetrics(metrics: Metrics, report: () => CacheReport | undefined): void {
  const single = (name: string, help: string, read: (cache: CacheReport) => number | null): void =>
    metrics.gauge(name, help, [], () => {
      const cache = report();
      const value = cache === undefined ? null : read(cache);
      return value === null ? [] : [[[], value]];
    });

  metrics.counted("cairn_cache_reads_total", "Reads of documents by how the cache answered.", ["result"], () => {
    const cache = report();
    if (cache === undefined) return [];
    const { hits, misses, stale, revalidated } = cache;
    return Object.entries({ hit: hits, miss: misses, stale, revalidated }).map(
      ([name, value]) => [[name], value] as const,
    );
  });
  metrics.counted("cairn_cache_evictions_total", "Documents that made room for others.", [], () => {
    const cache = report();
    return cache === undefined ? [] : [[[], cache.evictions]];
  });
  single("cairn_cache_entries", "Documents kept in memory.", ({ entries }) => entries);
  single("cairn_cache_bytes", "Bytes of the documents kept in memory.", ({ bytes }) => bytes);
  single("cairn_cache_disk_bytes", "Bytes of documents kept over a restart.", ({ disk_bytes }) => disk_bytes);
  single("cairn_cache_fresh", "1 while what is kept is surely fresh.", ({ fresh }) => (fresh ? 1 : 0));
  single("cairn_cache_age_seconds", "How old what is kept may be.", ({ age_seconds }) => age_seconds);
}
