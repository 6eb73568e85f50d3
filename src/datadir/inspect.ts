// Reads a node's store for the doctor, without asking the node.

import { join } from "node:path";
import { type Inspected, inspectStore } from "../store/inspect.ts";

/** What the doctor needs to know of a store. */
export interface SeenStore {
  contexts: number;
  /** Log time of the newest change in ms; 0 before the first. */
  lastChangeMs: number;
}

/** Checks the store's file and reads it; undefined if there is none. Fault `data_corrupt`. */
export function inspectNodeStore(dataDir: string): Inspected<SeenStore> | undefined {
  return inspectStore(join(dataDir, "store"), (reader) => ({
    contexts: reader.get<{ n: number }>("SELECT COUNT(*) AS n FROM contexts WHERE deleted = 0")?.n ?? 0,
    lastChangeMs: reader.get<{ log_time: number }>("SELECT log_time FROM head")?.log_time ?? 0,
  }));
}
