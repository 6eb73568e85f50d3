// How edges may keep a space (replication.md 28), as the log has it. Features set it (`space_configure`), the feed tells it
// to edges.

import { listMeta } from "../log/meta.ts";
import type { Reader } from "../store/store.ts";

/** Not at all, only while fresh (where nothing is set), or also while the edge is cut off. */
export const EDGE_MODES = ["never", "fresh", "stale"] as const;
/** How edges may keep a space. */
export type EdgeMode = (typeof EDGE_MODES)[number];

/** Names under which the store keeps the modes of spaces (log/meta.ts). */
export const EDGE_MODE_KEYS = "edge:";

/** Spaces with another mode than `fresh`, by name. */
export function edgeModes(reader: Reader): [string, EdgeMode][] {
  return listMeta(reader, EDGE_MODE_KEYS).map(([space, mode]) => [space, mode as EdgeMode]);
}
