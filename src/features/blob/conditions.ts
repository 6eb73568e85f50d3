// Health conditions of blobs, raised by the leader.

import type { ConditionTable } from "../../observe/conditions.ts";

/** By code. */
export const blobConditions = {
  blobs_degraded: {
    title: "Blobs have too few copies",
    severity: "warning",
    hint: "Start the members that are away, or free space on the others: the leader makes the copies by itself.",
  },
  blobs_lost: {
    title: "Blobs cannot be read",
    severity: "error",
    hint: "Start the members that hold them. Where their disks are gone, put the files again; `cairn blob list` names blobs without holders.",
  },
} as const satisfies ConditionTable;
