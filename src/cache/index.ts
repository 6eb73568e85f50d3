// What other folders need of the cache of edges.

import type { Migration } from "../store/store.ts";
import schema from "./schema.sql" with { type: "text" };

export { Edge, type EdgeOptions, type EdgeSettings } from "./edge.ts";
export { FeedServer } from "./feed-server.ts";
export { type FeedTerms, feedAnswer, feedRequest } from "./frames.ts";

/** Peer path of the feed. */
export const FEED = "feed";

/** Tables of an edge's own file: those of a full member's store, and behind the first of them the cache's own. Numbered apart. */
export function edgeMigrations([first, ...others]: readonly Migration[]): Migration[] {
  const all = [...(first === undefined ? [] : [first]), { name: "cache", sql: schema }, ...others];
  return all.map((migration, index) => ({ ...migration, id: index + 1 }));
}
