// What a sync has done, for people and as JSON.

import type { Left } from "./left.ts";

/** What was done with one note. */
export type Done = "created" | "updated" | "deleted" | "written" | "removed" | "conflict";

/** One step: a context that was created, updated or deleted, a file that was written or removed, or a conflict. */
export interface Step {
  did: Done;
  path: string;
  id: string;
}

/** Two texts, of which one is a version of the context now. */
export interface Conflict {
  path: string;
  id: string;
  /** What the file and the newest version have: the text of the store, or that of the folder. */
  kept: "store" | "folder";
  /** The version that has the other text. */
  version: number;
}

/** The result of one pass over a folder. */
export interface Report {
  dry_run: boolean;
  prefix: string;
  /** Notes that are the same on both sides, and were before. */
  unchanged: number;
  steps: Step[];
  conflicts: Conflict[];
  left: Left[];
  /** What one may want to know of a file; nothing is to be done. */
  remarks: string[];
  /** Files that are no Markdown, and contexts that are no text: not part of a sync. */
  other_files: number;
  other_contexts: number;
}

/** Returns how often something was done. */
export function countOf({ steps }: Pick<Report, "steps">, did: Done): number {
  return steps.filter((step) => step.did === did).length;
}
