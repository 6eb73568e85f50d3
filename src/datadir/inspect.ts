// Reads a node's store for the doctor, without asking the node.

import { join } from "node:path";
import { STORE_SCHEMA } from "../features/index.ts";
import { levelOf, refuseHigherLevel } from "../log/level.ts";
import { type Inspected, inspectStore, readStore } from "../store/inspect.ts";
import type { Reader } from "../store/store.ts";

/** What the doctor needs to know of a store. */
export interface SeenStore {
  contexts: number;
  /** Log time of the newest change in ms; 0 before the first. */
  lastChangeMs: number;
}

/**
 * Checks the store's schema and every page, and reads it; undefined if there is none. Faults `data_corrupt`,
 * `data_newer`.
 */
export function inspectNodeStore(dataDir: string): Inspected<SeenStore> | undefined {
  const look = (reader: Reader): SeenStore => {
    refuseHigherLevel(levelOf(reader), "The store");
    return {
      contexts: reader.get<{ n: number }>("SELECT COUNT(*) AS n FROM contexts WHERE deleted = 0")?.n ?? 0,
      lastChangeMs: reader.get<{ log_time: number }>("SELECT log_time FROM head")?.log_time ?? 0,
    };
  };
  return inspectStore(join(dataDir, "store"), look, STORE_SCHEMA);
}

/** Returns the fleet level of a data folder's state, beside a running node too; undefined where it has no store. */
export function stateLevel(dataDir: string): number | undefined {
  return readStore(join(dataDir, "store"), levelOf);
}
