// What other folders may use of the cache of edges.

import type { Migration } from "../store/store.ts";
import schema from "./schema.sql" with { type: "text" };

export { Edge, type EdgeOptions, type EdgeSettings } from "./edge.ts";
export { type FeedTerms, feedAnswer, feedRequest } from "./feed-frames.ts";
export { FeedServer } from "./feed-server.ts";

/** Name of the peer path of the feed. */
export const FEED = "feed";

/**
 * Returns the migrations of an edge's file: those of a full member's store with the cache's after the first,
 * renumbered.
 */
export function edgeMigrations([first, ...others]: readonly Migration[]): Migration[] {
  const all = [...(first === undefined ? [] : [first]), { name: "cache", level: 1, sql: schema }, ...others];
  return all.map((migration, index) => ({ ...migration, id: index + 1 }));
}
