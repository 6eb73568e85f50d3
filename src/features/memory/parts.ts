// What operations on memories need of their node: which secrets it keeps, and the time.

import { valuesOf } from "../../config/setting.ts";
import { NODE } from "../../operation/node-parts.ts";
import type { Services } from "../../operation/services.ts";
import { memorySettingTable } from "./settings.ts";

/** Both, as they are when an operation runs. */
export interface MemoryParts {
  /** Names of the rules of scrubbing that this node does not apply. */
  keptSecrets: () => readonly string[];
  nowMs: () => number;
}

/** Returns them for a node, or for the list of operations without one. */
export function memoryParts(node: Services): MemoryParts {
  const parts = () => node.find(NODE);
  return {
    keptSecrets: () => valuesOf(memorySettingTable, parts()?.settings ?? {})["memory.keep_secrets"] ?? [],
    nowMs: () => parts()?.nowMs() ?? Date.now(),
  };
}
