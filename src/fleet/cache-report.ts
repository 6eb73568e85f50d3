// The state of an edge's cache, for node_status and the pages.

import { z } from "zod";

const count = z.number().int();

/** Schema of the section `cache` of `node_status`. */
export const cacheReport = z.object({
  upstream: z.string().nullable().describe("The full node that is followed, by its id; null while none answers."),
  fresh: z.boolean().describe("Whether what is kept is surely what the fleet has, but for the age."),
  age_seconds: count.nullable().describe("How old what is kept may be; null while it is not known."),
  spaces: z.array(z.string()).describe("Spaces that this edge is enrolled for."),
  stale_spaces: z
    .array(z.string())
    .describe("Those of them that may be answered from what was kept while no full node can be asked; the first 100."),
  entries: count,
  bytes: count,
  max_bytes: count,
  disk_bytes: count.describe("Bytes kept over a restart, of spaces that may be served stale."),
  hits: count,
  misses: count,
  stale: count,
  revalidated: count,
  evictions: count,
});

/** The state of an edge's cache. */
export type CacheReport = z.infer<typeof cacheReport>;
