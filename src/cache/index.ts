// What other folders need of the cache of edges.

import { logSchema } from "../log/index.ts";
import type { Migration } from "../store/store.ts";
import schema from "./schema.sql" with { type: "text" };

export { openSleepClock, type SleepClock } from "./clock.ts";
export { Edge, type EdgeOptions, type EdgeSettings } from "./edge.ts";
export { FeedServer } from "./feed-server.ts";
export { feedRequest } from "./frames.ts";

/** Peer path of the feed. */
export const FEED = "feed";

/** Tables of an edge's own file: those of the log, `others` that the node needs, and the cache's. Numbered apart from the store of full nodes. */
export function edgeMigrations(others: readonly { name: string; sql: string }[]): Migration[] {
  const all = [{ name: "log", sql: logSchema }, { name: "cache", sql: schema }, ...others];
  return all.map((migration, index) => ({ id: index + 1, ...migration }));
}
