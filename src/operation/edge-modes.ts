// How edges may cache a space (replication.md 28), as stored in the log. `space_configure` sets it; the feed sends it
// to edges.

import { listMeta } from "../log/meta.ts";
import type { Reader } from "../store/store.ts";

/** `never`: not at all. `fresh`: only while fresh (the default). `stale`: also while the edge is cut off. */
export const EDGE_MODES = ["never", "fresh", "stale"] as const;
/** One of EDGE_MODES. */
export type EdgeMode = (typeof EDGE_MODES)[number];

/** Prefix of the keys of these modes in the table `meta` (log/meta.ts). */
export const EDGE_MODE_KEYS = "edge:";

/** Returns the spaces whose mode is not `fresh`, by name. */
export function edgeModes(reader: Reader): [string, EdgeMode][] {
  return listMeta(reader, EDGE_MODE_KEYS).map(([space, mode]) => [space, mode as EdgeMode]);
}
